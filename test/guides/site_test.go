// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package guides

import (
	"context"
	"encoding/json"
	"io/fs"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/test/apiserver"
)

const (
	repository   = "https://github.com/mqttbridge/mqttbridge-operator"
	buildTimeout = 3 * time.Minute
)

// buildSite builds the site as `make site` does, and returns its directory.
func buildSite(t *testing.T) string {
	t.Helper()
	program, err := exec.LookPath("mkdocs")
	if err != nil {
		t.Fatal("the test needs mkdocs and mkdocs-material: run `go -C hack/cluster run . packages` on Debian, or pip install -r hack/site/requirements.txt")
	}
	dir := t.TempDir()
	ctx, cancel := context.WithTimeout(t.Context(), buildTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, "build", "--strict", "--site-dir", dir)
	cmd.Dir = apiserver.Root()
	cmd.Env = append(os.Environ(), "PYTHONDONTWRITEBYTECODE=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("mkdocs build --strict: %v\n%s", err, out)
	}
	return dir
}

// rawList is the start of a list that was not rendered as a list.
var rawList = regexp.MustCompile(`(?m)^\s*([-*]|1\.) \S`)

func TestSite_Pages_LinkToExistingTargets(t *testing.T) {
	dir := buildSite(t)
	pages := parseSite(t, dir)
	sources := 0
	for _, name := range manifestPages(t) {
		built := strings.TrimSuffix(name, ".md") + "/index.html"
		if name == "README.md" {
			built = "index.html"
		}
		sources++
		if pages[built] == nil {
			t.Errorf("docs/%s has no page %s", name, built)
		}
	}
	if sources < 40 {
		t.Errorf("only %d sources were found", sources)
	}
	checked := 0
	for name, page := range pages {
		for _, target := range page.links {
			checked++
			checkLink(t, dir, pages, name, target)
		}
		for _, paragraph := range page.text {
			if rawList.MatchString(paragraph) {
				t.Errorf("%s: a list was not rendered: %.200s", name, paragraph)
			}
		}
	}
	if checked < 1000 {
		t.Errorf("only %d links were found", checked)
	}
	checkVersions(t, pages)
	checkNavigation(t, pages)
	checkLoads(t, dir, pages)
	checkSearch(t, dir, pages)
}

func checkLink(t *testing.T, dir string, pages map[string]*document, page, target string) {
	t.Helper()
	if inRepository, ok := strings.CutPrefix(target, repository+"/"); ok {
		kind, file, _ := strings.Cut(inRepository, "/main/")
		if kind != "blob" && kind != "tree" {
			return // a page of GitHub
		}
		file, _, _ = strings.Cut(file, "#")
		if _, err := os.Stat(filepath.Join(apiserver.Root(), file)); err != nil {
			t.Errorf("%s: the repository has no %s", page, file)
		}
		return
	}
	if parsed, err := url.Parse(target); err == nil && parsed.IsAbs() {
		if parsed.Scheme != "https" {
			t.Errorf("%s: the link %s does not use https", page, target)
		}
		return
	}
	file, anchor, err := resolve(page, target)
	if err != nil {
		t.Errorf("%s: %v", page, err)
		return
	}
	if to := pages[file]; to != nil {
		if !to.anchors[anchor] {
			t.Errorf("%s: %s has no heading #%s", page, file, anchor)
		}
		return
	}
	if _, err := os.Stat(filepath.Join(dir, file)); err != nil {
		t.Errorf("%s: the target %s of a link does not exist", page, target)
	}
}

// checkVersions checks that hack/site/requirements.txt has the versions that built the site.
func checkVersions(t *testing.T, pages map[string]*document) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(apiserver.Root(), "hack", "site", "requirements.txt"))
	if err != nil {
		t.Fatal(err)
	}
	generator := pages["index.html"].generator
	for _, program := range strings.Split(generator, ", ") {
		i := strings.LastIndexByte(program, '-')
		if i < 0 || !strings.Contains(string(data), program[:i]+"=="+program[i+1:]+"\n") {
			t.Errorf("the site was built by %s, and hack/site/requirements.txt has other versions", generator)
		}
	}
}

// checkNavigation checks that a reader of the first page can reach every page by the navigation.
func checkNavigation(t *testing.T, pages map[string]*document) {
	t.Helper()
	first := pages["index.html"]
	if first == nil {
		t.Fatal("the site has no first page")
	}
	linked := map[string]bool{"index.html": true}
	for _, target := range first.menu {
		if file, _, err := resolve("index.html", target); err == nil {
			linked[file] = true
		}
	}
	for name := range pages {
		if !linked[name] {
			t.Errorf("the navigation has no %s; add the page to nav in mkdocs.yml", name)
		}
	}
}

var styleAddress = regexp.MustCompile(`url\(\s*["']?([^"')]+)`)

// checkLoads checks that no page loads anything from another host, and that the browser would refuse it.
func checkLoads(t *testing.T, dir string, pages map[string]*document) {
	t.Helper()
	foreign := func(address string) bool {
		return strings.HasPrefix(address, "//") || strings.Contains(address, "://")
	}
	for name, page := range pages {
		if i := slices.IndexFunc(page.loads, foreign); i >= 0 {
			t.Errorf("%s loads %s from another host", name, page.loads[i])
		}
		if !strings.HasPrefix(page.policy, "default-src 'self'; ") || strings.Contains(page.policy, "http") {
			t.Errorf("%s has the Content-Security-Policy %q, want only content of the site", name, page.policy)
		}
	}
	styles := 0
	err := filepath.WalkDir(dir, func(name string, _ fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(name) != ".css" {
			return err
		}
		styles++
		data, err := os.ReadFile(name)
		for _, m := range styleAddress.FindAllStringSubmatch(string(data), -1) {
			if foreign(m[1]) && !strings.HasPrefix(m[1], "data:") {
				t.Errorf("%s loads %s from another host", name, m[1])
			}
		}
		return err
	})
	if err != nil || styles == 0 {
		t.Errorf("%d styles were found: %v", styles, err)
	}
}

// checkSearch checks that the search has every page. It works without another host.
func checkSearch(t *testing.T, dir string, pages map[string]*document) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, "search", "search_index.json"))
	if err != nil {
		t.Fatal(err)
	}
	var index struct {
		Docs []struct{ Location, Text string }
	}
	if err := json.Unmarshal(data, &index); err != nil {
		t.Fatal(err)
	}
	indexed := map[string]bool{}
	for _, d := range index.Docs {
		location, _, _ := strings.Cut(d.Location, "#")
		indexed[location+"index.html"] = true
	}
	for name := range pages {
		if !indexed[name] {
			t.Errorf("the search does not know %s", name)
		}
	}
}
