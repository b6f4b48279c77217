package main

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestCacheKey_ChangedPinOrSource_Changes(t *testing.T) {
	hack := t.TempDir()
	tool := []component{{name: "tool", module: "tools/tool", pkg: "."}}
	write := func(name, content string) {
		t.Helper()
		path := filepath.Join(hack, "tools", "tool", name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	key := func(components []component) string {
		t.Helper()
		key, err := cacheKey(hack, components)
		if err != nil {
			t.Fatal(err)
		}
		return key
	}

	write("go.mod", "require example.test/a v1.0.0\n")
	write("go.sum", "sum\n")
	write("main.go", "package main\n")
	first := key(tool)
	if again := key(tool); again != first {
		t.Errorf("the key of the same files changed from %s to %s", first, again)
	}
	write("README.md", "not part of the program")
	if after := key(tool); after != first {
		t.Error("a file that is not compiled changed the key")
	}

	seen := map[string]string{first: "the first build"}
	expectNew := func(what, key string) {
		t.Helper()
		if before, ok := seen[key]; ok {
			t.Errorf("%s has the same key as %s", what, before)
		}
		seen[key] = what
	}
	write("go.mod", "require example.test/a v1.0.1\n")
	expectNew("another version", key(tool))
	write("go.sum", "other sum\n")
	expectNew("another sum", key(tool))
	write("main.go", "package main // changed\n")
	expectNew("another source", key(tool))
	expectNew("another build tag", key([]component{{name: "tool", module: "tools/tool", pkg: ".", tags: "x"}}))
}

func TestSelectComponents_Envtest_ReturnsItsPrograms(t *testing.T) {
	selected, err := selectComponents([]string{"envtest"})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, c := range selected {
		names = append(names, c.name)
	}
	for _, want := range []string{"kube-apiserver", "etcd", "kubectl"} {
		if !slices.Contains(names, want) {
			t.Errorf("envtest selects %v, without %s", names, want)
		}
	}
	if _, err := selectComponents([]string{"kube-nothing"}); err == nil {
		t.Error("an unknown component was accepted")
	}
}

func TestMissing_KilledBuild_IsRebuilt(t *testing.T) {
	dir := t.TempDir()
	partial := filepath.Join(dir, "tool"+partialSuffix)
	if err := os.WriteFile(partial, []byte("half"), 0o755); err != nil {
		t.Fatal(err)
	}
	if absent := missing(dir, []component{{name: "tool"}}); len(absent) != 1 {
		t.Error("a half-written program counts as built")
	}
	if err := removePartial(dir); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(partial); !os.IsNotExist(err) {
		t.Error("the half-written program is still there")
	}
}
