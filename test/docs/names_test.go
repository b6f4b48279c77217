// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package docs

import (
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

var (
	// reasonName matches names such as RunnerNotRunning: reasons, values of fields and kinds of objects.
	reasonName = regexp.MustCompile(`^[A-Z][a-z]+(?:[A-Z][A-Za-z0-9]*)+$`)
	// fieldPath matches the path of a field, with or without a value, such as spec.suspend: true.
	fieldPath = regexp.MustCompile(`^([a-z][A-Za-z0-9]*(?:\[\])?(?:\.[a-z][A-Za-z0-9]*(?:\[\])?)+)(?:: .*)?$`)
	codeBlock = regexp.MustCompile("(?s)```.*?```")
)

// foreignNames are names of other programs on the pages.
var foreignNames = []string{
	"LoadCredential", "VmHWM", "VmRSS", "CrossNamespacePodAffinity", // systemd, Linux, Kubernetes
	"ca.crt", "tls.crt", "runner.yaml", "crds.yaml", // files and keys of Secrets
	"spec.strategy.rollingUpdate", "rbac.extraRules", // a Deployment, the chart of kube-state-metrics
}

// userPages returns the pages for users by their names. Decisions and the architecture name parts of earlier versions
// and of the code, and the pages about other projects and brokers name theirs.
func userPages(t *testing.T) map[string]string {
	t.Helper()
	pages := map[string]string{"README.md": read(t, "README.md"), "charts/mqttbridge-operator/README.md": read(t, "charts/mqttbridge-operator/README.md")}
	err := filepath.WalkDir(filepath.Join(root, "docs"), func(path string, _ fs.DirEntry, err error) error {
		name := filepath.Base(path)
		if err != nil || filepath.Ext(name) != ".md" || slices.Contains([]string{"api.md", "architecture.md", "decisions.md", "import.md", "operator-features.md"}, name) {
			return err
		}
		pages[path] = readFile(t, path)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return pages
}

// codeIn returns the words in code of a page, without its blocks of code.
func codeIn(page string) (words []string) {
	for _, m := range quoted.FindAllStringSubmatch(codeBlock.ReplaceAllString(page, ""), -1) {
		if !slices.Contains(foreignNames, m[1]) {
			words = append(words, m[1])
		}
	}
	return words
}

// A page that names a reason or a value that the programs do not have is of an earlier version.
func TestNames_ReasonsAndValuesInText_Exist(t *testing.T) {
	known := map[string]bool{}
	word := regexp.MustCompile(`\b[A-Z]\w+\b`)
	for _, dir := range []string{"api", "controllers", "bridge-runner", "internal", "kubectl-mqttbridge"} {
		err := filepath.WalkDir(filepath.Join(root, dir), func(path string, _ fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			for _, w := range word.FindAllString(readFile(t, path), -1) {
				known[w] = true
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	checked := 0
	for name, text := range userPages(t) {
		for _, w := range codeIn(text) {
			if !reasonName.MatchString(w) {
				continue
			}
			checked++
			if !known[w] {
				t.Errorf("%s names %s, which is not in the code", name, w)
			}
		}
	}
	if checked < 250 {
		t.Errorf("only %d names were found", checked)
	}
}

// fieldSet has the fields of MQTTBridges.
type fieldSet struct {
	// paths are the paths of all fields, without the brackets of lists.
	paths []string
	// open are the paths of the fields whose own fields are not in paths: maps, and objects of Kubernetes.
	open []string
	// objects are the names of the fields that have fields.
	objects map[string]bool
}

func (s *fieldSet) add(t reflect.Type, path string) {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	if t.Kind() != reflect.Map && t.Kind() != reflect.Struct {
		return
	}
	s.objects[path[strings.LastIndex(path, ".")+1:]] = true
	if t.Kind() == reflect.Map || t.PkgPath() != reflect.TypeFor[v1alpha1.MQTTBridge]().PkgPath() {
		s.open = append(s.open, path)
		return
	}
	for f := range t.Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "" {
			continue
		}
		child := strings.TrimPrefix(path+"."+name, ".")
		s.paths = append(s.paths, child)
		s.add(f.Type, child)
	}
}

// addValues adds the values of the chart. Empty values are open.
func (s *fieldSet) addValues(values map[string]any, path string) {
	for name, value := range values {
		child := strings.TrimPrefix(path+"."+name, ".")
		s.paths = append(s.paths, child)
		switch value := value.(type) {
		case map[string]any:
			s.objects[name] = true
			s.addValues(value, child)
			if len(value) == 0 {
				s.open = append(s.open, child)
			}
		case nil:
			s.open = append(s.open, child)
		}
	}
}

// has reports whether a path, or the last part of a path, is a field.
func (s *fieldSet) has(path string) bool {
	ends := func(end string) func(string) bool {
		return func(p string) bool { return p == end || strings.HasSuffix(p, "."+end) }
	}
	if slices.ContainsFunc(s.paths, ends(path)) {
		return true
	}
	for i, r := range path {
		if r == '.' && slices.ContainsFunc(s.open, ends(path[:i])) {
			return true
		}
	}
	return false
}

// A page may name a field by the last part of its path, such as failback.policy.
func TestNames_PathsOfFieldsInText_Exist(t *testing.T) {
	s := &fieldSet{objects: map[string]bool{}}
	s.add(reflect.TypeFor[v1alpha1.MQTTBridge](), "")
	var values map[string]any
	if err := yaml.Unmarshal([]byte(read(t, "charts/mqttbridge-operator/values.yaml")), &values); err != nil {
		t.Fatal(err)
	}
	s.addValues(values, "")
	checked := 0
	for name, text := range userPages(t) {
		for _, w := range codeIn(text) {
			m := fieldPath.FindStringSubmatch(w)
			if m == nil {
				continue
			}
			path := strings.ReplaceAll(m[1], "[]", "")
			first, _, _ := strings.Cut(path, ".")
			if !s.objects[first] {
				continue
			}
			checked++
			if !s.has(path) {
				t.Errorf("%s names %s, which is no field of the API and no value of the chart", name, m[1])
			}
		}
	}
	if checked < 200 {
		t.Errorf("only %d paths of fields were found", checked)
	}
}

// A package that CONTRIBUTING.md does not list is not found by a new contributor.
func TestContributing_Packages_AreListed(t *testing.T) {
	page, checked := read(t, "CONTRIBUTING.md"), 0
	for _, dir := range []string{"internal", "hack", "test"} {
		entries, err := os.ReadDir(filepath.Join(root, dir))
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if !e.IsDir() {
				continue
			}
			checked++
			name := dir + "/" + e.Name()
			if dir == "test" {
				name = e.Name()
			}
			if !strings.Contains(page, "`"+name+"`") {
				t.Errorf("CONTRIBUTING.md does not list %s/%s", dir, e.Name())
			}
		}
	}
	if checked < 35 {
		t.Errorf("only %d directories were found", checked)
	}
}

// A page that no index names is found only by a search.
func TestIndexes_Pages_AreListed(t *testing.T) {
	readme, index, checked := read(t, "README.md"), read(t, "docs/README.md"), 0
	for _, dir := range []string{"", "guides/"} {
		files, err := filepath.Glob(filepath.Join(root, "docs", dir, "*.md"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			page := dir + filepath.Base(file)
			if page == "README.md" {
				continue
			}
			checked++
			if !strings.Contains(readme, "(docs/"+page) {
				t.Errorf("README.md has no link to docs/%s", page)
			}
			if !strings.Contains(index, "("+page) {
				t.Errorf("docs/README.md has no link to %s", page)
			}
		}
	}
	if checked < 35 {
		t.Errorf("only %d pages were found", checked)
	}
}
