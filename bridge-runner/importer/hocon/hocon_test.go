// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package hocon

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/importer/tree"
)

// show returns a value in one line, with the positions of keys.
func show(v *tree.Value) string {
	switch v.Kind {
	case tree.Text:
		return fmt.Sprintf("%q", v.Text)
	case tree.Reference:
		return "<" + v.Text + ">"
	case tree.List:
		items := make([]string, len(v.Items))
		for i, item := range v.Items {
			items[i] = show(item)
		}
		return "[" + strings.Join(items, " ") + "]"
	case tree.Object:
		fields := make([]string, len(v.Fields))
		for i, f := range v.Fields {
			fields[i] = fmt.Sprintf("%s@%d:%d=%s", f.Key, f.Line, f.Column, show(f.Value))
		}
		return "{" + strings.Join(fields, " ") + "}"
	}
	return "unknown kind"
}

func TestParse_ValidText_GivesTreeWithPositions(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"empty":                  {"", "{}"},
		"comments":               {"# a\n// b\n a = 1 # c\nb = 2 // d\n", `{a@3:2="1" b@4:1="2"}`},
		"braces at the root":     {"{ a = 1 }\n", `{a@1:3="1"}`},
		"separators":             {"a = 1\nb: 2\nc { d = 3 }\ne\n{\n}\n", `{a@1:1="1" b@2:1="2" c@3:1={d@3:5="3"} e@4:1={}}`},
		"value in the next line": {"a =\n  1\n", `{a@1:1="1"}`},
		"path":                   {"a.b.c = 1\na.b.d = 2\n", `{a@1:1={b@1:1={c@1:1="1" d@2:1="2"}}}`},
		"quoted key":             {"\"a.b\".c = 1", `{a.b@1:1={c@1:1="1"}}`},
		"objects are merged":     {"a { b = 1, c = 1 }\na { c = 2 }\n", `{a@1:1={b@1:5="1" c@2:5="2"}}`},
		"later value":            {"a = 1\nb = 2\na = 3\n", `{a@3:1="3" b@2:1="2"}`},
		"object replaces text":   {"a = 1\na.b = 2\n", `{a@2:1={b@2:1="2"}}`},
		"text replaces object":   {"a.b = 2\na = 1\n", `{a@2:1="1"}`},
		"lists":                  {"a = [1, 2\n 3,\n]\nb = []\nc = [[x], {y = z}]", `{a@1:1=["1" "2" "3"] b@4:1=[] c@5:1=[["x"] {y@5:12="z"}]}`},
		"objects without commas": {"a = [\n{b = 1}\n{b = 2}\n]", `{a@1:1=[{b@2:2="1"} {b@3:2="2"}]}`},
		"text without quotes":    {"a = one two  three  \nb = 60s\nc = a/+/b\nd = x-y_z", `{a@1:1="one two  three" b@2:1="60s" c@3:1="a/+/b" d@4:1="x-y_z"}`},
		"quotes and no quotes":   {`a = "x y" z "w"`, `{a@1:1="x y z w"}`},
		"escapes":                {`a = "q\" b\\ s\/ n\n u\u00e4"`, `{a@1:1="q\" b\\ s/ n\n uä"}`},
		"three quotes":           {"a = \"\"\"x\n\"y\"\n\"\"\"\nb = 1", `{a@1:1="x\n\"y\"\n" b@4:1="1"}`},
		"comment sign in quotes": {`a = "up/#"`, `{a@1:1="up/#"}`},
		"address in quotes":      {`a = "mqtt-tcp://h:1"`, `{a@1:1="mqtt-tcp://h:1"}`},
		"reference":              {"a = ${?HOST}\nb = x/${VIN}/y", `{a@1:1=<${?HOST}> b@2:1=<x/${VIN}/y>}`},
		"dollar":                 {"a = $share", `{a@1:1="$share"}`},
		"byte order mark":        {"\uFEFFa = 1", `{a@1:1="1"}`},
		"line ends of Windows":   {"a = 1\r\nb {\r\n c = 2\r\n}\r\n", `{a@1:1="1" b@2:1={c@3:2="2"}}`},
		"comma after the last":   {"a { b = 1, }\n", `{a@1:1={b@1:5="1"}}`},
		"key called include":     {"include = 1\nincludes { a = 1 }", `{include@1:1="1" includes@2:1={a@2:12="1"}}`},
		"column counts letters":  {`"ä" = "ö", b = 1`, `{ä@1:1="ö" b@1:12="1"}`},
		"tabs":                   {"\ta\t=\t1\t\n", `{a@1:2="1"}`},
	} {
		t.Run(name, func(t *testing.T) {
			got, includes, err := Parse([]byte(c.text))
			if err != nil {
				t.Fatal(err)
			}
			if show(got) != c.want || len(includes) > 0 {
				t.Errorf("%s, includes %v, want %s", show(got), includes, c.want)
			}
		})
	}
}

func TestParse_Include_IsReported(t *testing.T) {
	got, includes, err := Parse([]byte("include \"a.conf\"\nb = 1\nc { include file(\"d.conf\")\n e = 2 }\n"))
	if err != nil {
		t.Fatal(err)
	}
	want := []Include{{"a.conf", 1}, {"d.conf", 3}}
	if fmt.Sprint(includes) != fmt.Sprint(want) || show(got) != `{b@2:1="1" c@3:1={e@4:2="2"}}` {
		t.Errorf("includes %v, want %v; tree %s", includes, want, show(got))
	}
}

func TestParse_Fault_HasLineColumnAndRemedy(t *testing.T) {
	for text, want := range map[string]string{
		"a = 1 }":                          `line 1, column 7: unexpected "}"`,
		"a {\n b = 1\n":                    "line 3, column 1: the object that begins in line 1, column 3 has no closing brace }",
		"a = [1, 2\n":                      "line 2, column 1: the list that begins in line 1, column 5 has no closing bracket ]",
		"a = [1 }":                         "line 1, column 8: \"}\" is not allowed",
		"a = \"x\nb = 1":                   "line 1, column 5: the text has no closing quote",
		"a = \"\"\"x":                      "line 1, column 5: the text has no closing \"\"\"",
		`a = "\x"`:                         "line 1, column 6: a backslash in quotes must be followed by",
		"a =":                              "line 1, column 4: the value is missing",
		"a = , b = 1":                      "line 1, column 5: the value is missing",
		"\n\n  key\nb = 1":                 "line 3, column 3: this key has no value; write KEY = and a value",
		"a = mqtt-tcp://h:1":               `line 1, column 13: ":" is not allowed in a value without quotes; write the value in quotes`,
		"a = 1 b = 2":                      `line 1, column 9: "=" is not allowed in a value without quotes`,
		"a = {} b = 2":                     `line 1, column 8: unexpected "b"; begin each key in a line of its own`,
		"a = [{} {}]":                      `line 1, column 9: unexpected "{"; begin each item in a line of its own`,
		"a = 1,,b = 2":                     "line 1, column 7: unexpected second comma",
		"a+=1":                             "line 1, column 2: += is not supported; write the whole list",
		"a += 1":                           "line 1, column 3: += is not supported; write the whole list",
		"a..b = 1":                         "line 1, column 3: a key has an empty part",
		"= 1":                              `line 1, column 1: expected a key, found "="`,
		"a = ${X":                          "line 1, column 5: ${ has no closing brace }",
		"include file(x)\n":                "line 1, column 16: include needs the name of a file in quotes",
		strings.Repeat("a { ", 70):         "line 1, column 259: objects and lists are nested deeper than 64 levels",
		"a = " + strings.Repeat("[", 70):   "nested deeper than 64 levels",
		strings.Repeat("a.", 70) + "a = 1": "the key has more than 64 parts",
	} {
		_, _, err := Parse([]byte(text))
		var fault *tree.Error
		if !errors.As(err, &fault) || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q: %v, want %s", text, err, want)
		}
	}
}

// FuzzParse checks that no text makes the parser fail otherwise than by an error, and that
// positions are inside the text.
func FuzzParse(f *testing.F) {
	for _, pattern := range []string{"nanomq", "emqx"} {
		files, err := filepath.Glob(filepath.Join("..", "testdata", pattern, "*.conf"))
		if err != nil || len(files) == 0 {
			f.Fatalf("no examples of %s: %v", pattern, err)
		}
		for _, file := range files {
			data, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(data)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		lines := strings.Count(string(data), "\n") + 1
		root, _, err := Parse(data)
		if err != nil {
			var fault *tree.Error
			if !errors.As(err, &fault) || fault.Line < 1 || fault.Line > lines || fault.Column < 1 {
				t.Fatalf("the error %v has no position in %d lines", err, lines)
			}
			return
		}
		check(t, root, lines, 0)
	})
}

func check(t *testing.T, v *tree.Value, lines, depth int) {
	t.Helper()
	if v.Line < 1 || v.Line > lines || v.Column < 1 || depth > 5000 {
		t.Fatalf("the value %q is at %d:%d of %d lines, at the depth %d", v.Text, v.Line, v.Column, lines, depth)
	}
	keys := map[string]bool{}
	for _, f := range v.Fields {
		if keys[f.Key] {
			t.Fatalf("the key %q is there twice", f.Key)
		}
		keys[f.Key] = true
		check(t, f.Value, lines, depth+1)
	}
	for _, item := range v.Items {
		check(t, item, lines, depth+1)
	}
}
