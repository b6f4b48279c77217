// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package command

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/importer"
)

const importPage = "../../docs/import.md"

func importPageText(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile(importPage)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// The example of the page gives the output that the page shows.
func TestImport_ExampleOfThePage_GivesItsOutput(t *testing.T) {
	page := importPageText(t)
	block := func(kind string) string {
		m := regexp.MustCompile("(?s)\n```" + kind + "\n(.*?)```\n").FindStringSubmatch(page)
		if m == nil {
			t.Fatalf("%s has no block %s", importPage, kind)
		}
		return m[1]
	}
	configuration, console := block("text"), block("console")
	t.Chdir(t.TempDir())
	if err := os.WriteFile("nanomq.conf", []byte(configuration), 0o600); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(block("sh")) {
		words := strings.Fields(line)
		var messages bytes.Buffer
		if status := RunImport(words[2:], nil, &messages, &messages); status != Partly || words[0] != "bin/bridge-runner" || words[1] != "import" {
			t.Errorf("%s: exit status %d: %s", line, status, &messages)
		}
	}
	var got strings.Builder
	commands := 0
	for line := range strings.Lines(console) {
		command, isCommand := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "$ ")
		if !isCommand {
			continue
		}
		got.WriteString(line)
		commands++
		words := strings.Fields(command)
		switch {
		case words[0] == "cat":
			data, err := os.ReadFile(words[1])
			if err != nil {
				t.Fatal(err)
			}
			got.Write(data)
		case words[0] == "bin/bridge-runner" && words[1] == "import":
			var messages bytes.Buffer
			RunImport(words[2:], nil, &got, &messages)
			got.Write(messages.Bytes())
		default:
			t.Fatalf("the test cannot run %q", command)
		}
	}
	if got.String() != console || commands < 2 {
		t.Errorf("the %d commands of %s give\n%s\nwant\n%s", commands, importPage, &got, console)
	}
}

// The page has each key that the import reads or leaves out.
func TestImport_TablesOfThePage_HaveEachKey(t *testing.T) {
	page := importPageText(t)
	for _, format := range importer.Formats() {
		keys := keysOf(t, filepath.Join("..", "importer", strings.ReplaceAll(format, "-", "")))
		if len(keys) < 20 {
			t.Errorf("%s: found only the keys %v", format, keys)
		}
		title := map[string]string{"nanomq": "NanoMQ", "mosquitto": "Mosquitto", "emqx": "EMQX", "hivemq-edge": "HiveMQ Edge"}[format]
		_, section, ok := strings.Cut(page, "\n## "+title+"\n")
		if !ok {
			t.Fatalf("%s has no section %s", importPage, title)
		}
		section, _, _ = strings.Cut(section, "\n## ")
		for _, key := range keys {
			if !strings.Contains(section, "`"+key+"`") {
				t.Errorf("%s: the section %s lacks the key %s", importPage, title, key)
			}
		}
	}
}

// readers are the methods of draft.Reader, and the functions, whose arguments are keys.
var readers = map[string]bool{"number": true, "Text": true, "LeaveOutside": true, "Bool": true, "Int": true, "Seconds": true, "DurationIn": true, "template": true, "Object": true, "Items": true, "File": true, "PacketSize": true, "Has": true, "Skip": true, "Login": true}

// keysOf returns the keys that the package in a directory reads or leaves out: the arguments of the
// readers, and the keys of maps from keys to reasons.
func keysOf(t *testing.T, dir string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	var keys []string
	seen := map[string]bool{"*": true}
	add := func(e ast.Expr) {
		if l, ok := e.(*ast.BasicLit); ok && l.Kind == token.STRING {
			if key, err := strconv.Unquote(l.Value); err == nil && !seen[key] {
				seen[key] = true
				keys = append(keys, key)
			}
		}
	}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(parsed, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.CallExpr:
				name := ""
				switch f := n.Fun.(type) {
				case *ast.SelectorExpr:
					name = f.Sel.Name
				case *ast.Ident:
					name = f.Name
				}
				for _, argument := range n.Args {
					if readers[name] {
						add(argument)
					}
				}
			case *ast.ValueSpec:
				if strings.HasSuffix(strings.ToLower(n.Names[0].Name), "reasons") {
					addKeys(n.Values[0], add)
				}
			}
			if call, ok := n.(*ast.CallExpr); ok {
				if s, ok := call.Fun.(*ast.SelectorExpr); ok && s.Sel.Name == "Rest" {
					addKeys(call.Args[0], add)
				}
			}
			return true
		})
	}
	return keys
}

// addKeys adds the keys of a map literal.
func addKeys(e ast.Expr, add func(ast.Expr)) {
	if literal, ok := e.(*ast.CompositeLit); ok {
		for _, element := range literal.Elts {
			if pair, ok := element.(*ast.KeyValueExpr); ok {
				add(pair.Key)
			}
		}
	}
}
