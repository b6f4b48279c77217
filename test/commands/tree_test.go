// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package commands

import (
	"errors"
	"flag"
	"fmt"
	"go/ast"
	"go/build"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// A tree has the packages of the repository, with their tests and flags. It reads the sources, because linking the
// tests of all packages takes minutes.
type tree struct {
	t     *testing.T
	texts map[string]string // the sources of the tests of a directory
}

func newTree(t *testing.T) *tree { return &tree{t: t, texts: map[string]string{}} }

// load reads a package. The error says why the directory has none.
func (r *tree) load(dir string, tags []string) (*build.Package, error) {
	context := build.Default
	context.BuildTags = tags
	// Without this mode, package build starts the go command to find a directory that is known.
	return context.ImportDir(filepath.Join(root, dir), build.IgnoreVendor)
}

// sources returns the sources of all tests of a directory.
func (r *tree) sources(dir string) string {
	r.t.Helper()
	if text, ok := r.texts[dir]; ok {
		return text
	}
	files, err := filepath.Glob(filepath.Join(root, dir, "*_test.go"))
	if err != nil {
		r.t.Fatal(err)
	}
	var b strings.Builder
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			r.t.Fatal(err)
		}
		b.Write(data)
	}
	r.texts[dir] = b.String()
	return b.String()
}

var testFunction = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz|Benchmark)[A-Z]\w*)\(`)

// functions returns the number of tests, fuzz tests and benchmarks of a directory whose names match the expression,
// with all build tags.
func (r *tree) functions(dir, expression string) (n int) {
	r.t.Helper()
	pattern := regexp.MustCompile(expression)
	for _, m := range testFunction.FindAllStringSubmatch(r.sources(dir), -1) {
		if pattern.MatchString(m[1]) {
			n++
		}
	}
	return n
}

// testsOf returns the names of the tests, fuzz tests and benchmarks of a package.
func (r *tree) testsOf(p *build.Package) (names []string) {
	r.t.Helper()
	for _, name := range slices.Concat(p.TestGoFiles, p.XTestGoFiles) {
		data, err := os.ReadFile(filepath.Join(p.Dir, name))
		if err != nil {
			r.t.Fatal(err)
		}
		for _, m := range testFunction.FindAllStringSubmatch(string(data), -1) {
			names = append(names, m[1])
		}
	}
	return names
}

// match returns the directories of packages that a pattern of the go command selects in a directory.
func (r *tree) match(dir, pattern string) (dirs []string, err error) {
	base, all := strings.CutSuffix(pattern, "/...")
	base = filepath.Join(dir, base)
	if !all {
		return []string{base}, nil
	}
	err = filepath.WalkDir(filepath.Join(root, base), func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.IsDir() {
			return err
		}
		if entry.Name() == "testdata" {
			return filepath.SkipDir
		}
		relative, err := filepath.Rel(root, path)
		if _, missing := r.load(relative, nil); missing == nil {
			dirs = append(dirs, relative)
		}
		return err
	})
	if err == nil && len(dirs) == 0 {
		err = fmt.Errorf("no package matches %s", pattern)
	}
	return dirs, err
}

const module = "github.com/mqttbridge/mqttbridge-operator/"

// flagTypes are the types of flags by the name of the function of package flag that defines them.
var flagTypes = map[string]func(*flag.FlagSet, string){
	"Bool":     func(s *flag.FlagSet, name string) { s.Bool(name, false, "") },
	"Duration": func(s *flag.FlagSet, name string) { s.Duration(name, 0, "") },
	"Int":      func(s *flag.FlagSet, name string) { s.Int(name, 0, "") },
	"Int64":    func(s *flag.FlagSet, name string) { s.Int64(name, 0, "") },
	"String":   func(s *flag.FlagSet, name string) { s.String(name, "", "") },
	"Uint64":   func(s *flag.FlagSet, name string) { s.Uint64(name, 0, "") },
}

// defineFlags adds the flags that the sources of a program define: its package, the tests of the package if it is a
// test, and the packages of test that it imports.
func (r *tree) defineFlags(set *flag.FlagSet, p *build.Package, tests bool) {
	r.t.Helper()
	files, imports := p.GoFiles, p.Imports
	if tests {
		files = slices.Concat(files, p.TestGoFiles, p.XTestGoFiles)
		imports = slices.Concat(imports, p.TestImports, p.XTestImports)
	}
	for _, name := range files {
		file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.Dir, name), nil, 0)
		if err != nil {
			r.t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			function, ok := call.Fun.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			kind, isVar := strings.CutSuffix(function.Sel.Name, "Var")
			arguments := call.Args
			if isVar && len(arguments) > 0 {
				arguments = arguments[1:]
			}
			const nameValueUsage = 3
			define := flagTypes[kind]
			if define == nil || len(arguments) != nameValueUsage {
				return true
			}
			literal, ok := arguments[0].(*ast.BasicLit)
			if !ok {
				return true
			}
			if name, err := strconv.Unquote(literal.Value); err == nil && set.Lookup(name) == nil {
				define(set, name)
			}
			return true
		})
	}
	for _, path := range imports {
		if dir, ok := strings.CutPrefix(path, module+"test/"); ok {
			imported, err := r.load("test/"+dir, nil)
			if err != nil {
				r.t.Fatal(err)
			}
			r.defineFlags(set, imported, false)
		}
	}
}

// newFlagSet returns an empty set whose errors are returned only.
func newFlagSet() *flag.FlagSet {
	set := flag.NewFlagSet("", flag.ContinueOnError)
	set.SetOutput(io.Discard)
	return set
}

// testFlags returns a set with the flags of each test, under their names of the go command, and of builds.
func testFlags() *flag.FlagSet {
	set := newFlagSet()
	flag.VisitAll(func(f *flag.Flag) {
		if name, ok := strings.CutPrefix(f.Name, "test."); ok {
			value, isValue := reflect.New(reflect.TypeOf(f.Value).Elem()).Interface().(flag.Value)
			if isValue {
				set.Var(value, name, "")
			}
		}
	})
	set.String("tags", "", "")
	set.Bool("race", false, "")
	return set
}

// parse parses flags and arguments in any order. It returns the arguments.
func parse(set *flag.FlagSet, words []string) (arguments []string, err error) {
	for {
		if err := set.Parse(words); err != nil && !errors.Is(err, flag.ErrHelp) {
			return nil, err
		}
		if set.NArg() == 0 {
			return arguments, nil
		}
		arguments, words = append(arguments, set.Arg(0)), set.Args()[1:]
	}
}
