// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

const root = "../.."

// The gate fails if a commit changes one of the versions alone.
func TestCheck_ThisRepository_FindsNothing(t *testing.T) {
	if err := check(root, ""); err != nil {
		t.Error(err)
	}
}

// project writes a project with the version 1.2.0, ready for its release, and with the changes to files.
func project(t *testing.T, changes map[string]string) string {
	t.Helper()
	files := map[string]string{
		"CHANGELOG.md":           "# Changelog\n\n## 1.2.0 - 2026-03-01\n### Added\n- A [thing](docs/x.md#a). It is new.\n\n## 1.1.0 - 2026-02-01\n### Fixed\n- A fault.\n",
		"README.md":              "text\n",
		"docs/releases.md":       "```sh\nVERSION=1.2.0\n```\n",
		chartDir + "/Chart.yaml": chartYAML("1.2.0", "1.2.0", "1.2.0", "false"),
	}
	for name, content := range changes {
		files[name] = content
	}
	dir := t.TempDir()
	for name, content := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func chartYAML(version, app, tag, pre string) string {
	return "version: " + version + "\nappVersion: \"" + app + "\"\nannotations:\n  artifacthub.io/prerelease: \"" + pre +
		"\"\n  artifacthub.io/images: |\n    - name: mqttbridge-operator\n      image: " + image + ":" + tag + "\n"
}

func TestCheck_Disagreement_NamesFileValueAndRemedy(t *testing.T) {
	const unreleasedFirst = "# Changelog\n\n## Unreleased\n### Added\n- A.\n\n## 1.2.0 - 2026-03-01\n### Added\n- B.\n"
	for name, tt := range map[string]struct {
		version string
		changes map[string]string
		want    []string // in the error; none: no error
	}{
		"ready":                       {version: "1.2.0"},
		"between releases":            {changes: map[string]string{"CHANGELOG.md": unreleasedFirst}},
		"no release yet":              {changes: map[string]string{"CHANGELOG.md": "## Unreleased\n"}},
		"version with v":              {version: "v1.2.0", want: []string{`VERSION is "v1.2.0"`, "without v"}},
		"version of two numbers":      {version: "1.2", want: []string{`VERSION is "1.2"`}},
		"not released in changelog":   {version: "1.2.0", changes: map[string]string{"CHANGELOG.md": unreleasedFirst}, want: []string{"CHANGELOG.md:3:", `replace it by "1.2.0 - DATE"`}},
		"another release first":       {version: "1.3.0", want: []string{"CHANGELOG.md:3:", "about 1.2.0", `"1.3.0 - DATE"`, "Chart.yaml: version is 1.2.0"}},
		"empty section":               {version: "1.2.0", changes: map[string]string{"CHANGELOG.md": "## 1.2.0 - 2026-03-01\n\n## 1.1.0 - 2026-02-01\n- B.\n"}, want: []string{"CHANGELOG.md:1:", "describe the changes of 1.2.0"}},
		"chart not raised":            {changes: map[string]string{chartDir + "/Chart.yaml": chartYAML("1.1.0", "1.1.0", "1.1.0", "false")}, want: []string{"CHANGELOG.md:3:", "latest release is 1.2.0", "chart 1.1.0"}},
		"appVersion differs":          {changes: map[string]string{chartDir + "/Chart.yaml": chartYAML("1.2.0", "1.1.0", "1.2.0", "false")}, want: []string{`appVersion is "1.1.0"`, `version "1.2.0"`}},
		"image of another version":    {changes: map[string]string{chartDir + "/Chart.yaml": chartYAML("1.2.0", "1.2.0", "1.2.01", "false")}, want: []string{"annotation images", image + ":1.2.0"}},
		"prerelease":                  {changes: map[string]string{chartDir + "/Chart.yaml": chartYAML("1.2.0", "1.2.0", "1.2.0", "true")}, want: []string{`prerelease is "true"`, `"false"`}},
		"chart without version":       {changes: map[string]string{chartDir + "/Chart.yaml": "name: x\n"}, want: []string{`version is ""`}},
		"documentation not raised":    {changes: map[string]string{"docs/releases.md": "text\n\nVERSION=1.1.0\n"}, want: []string{"docs/releases.md:3:", "VERSION is 1.1.0", "chart 1.2.0"}},
		"heading without date":        {changes: map[string]string{"CHANGELOG.md": "## 1.2.0\n"}, want: []string{"CHANGELOG.md:1:", `"1.2.0"`, "2026-01-31"}},
		"heading with v":              {changes: map[string]string{"CHANGELOG.md": "## v1.2.0 - 2026-03-01\n"}, want: []string{`"v1.2.0" is not a version`}},
		"date that does not exist":    {changes: map[string]string{"CHANGELOG.md": "## 1.2.0 - 2026-02-30\n"}, want: []string{"2026-02-30 does not exist"}},
		"earlier release above":       {changes: map[string]string{"CHANGELOG.md": "## 1.2.0 - 2026-03-01\n## 1.10.0 - 2026-02-01\n"}, want: []string{"CHANGELOG.md:2:", "1.10.0", "below 1.2.0"}},
		"unreleased below a release":  {changes: map[string]string{"CHANGELOG.md": "## 1.2.0 - 2026-03-01\n## Unreleased\n"}, want: []string{"CHANGELOG.md:2:", "only the first"}},
		"changelog without a section": {changes: map[string]string{"CHANGELOG.md": "# Changelog\n"}, want: []string{"CHANGELOG.md has no section"}},
	} {
		t.Run(name, func(t *testing.T) {
			err := check(project(t, tt.changes), tt.version)
			if (err == nil) != (len(tt.want) == 0) {
				t.Fatalf("got %v, want %q", err, tt.want)
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("the error lacks %q:\n%v", want, err)
				}
			}
		})
	}
}

func TestNotes_Links_PointToTheRelease(t *testing.T) {
	var out bytes.Buffer
	if err := notes(project(t, nil), "1.2.0", &out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"### Added", "[thing](" + repository + "/blob/v1.2.0/docs/x.md#a)", "/blob/v1.2.0/docs/releases.md"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the notes lack %q:\n%s", want, &out)
		}
	}
	if strings.Contains(out.String(), "A fault") {
		t.Errorf("the notes have the changes of an earlier release:\n%s", &out)
	}
}

func TestChanges_Items_HaveKindAndFirstSentence(t *testing.T) {
	s := section{body: strings.Join([]string{
		"Text that is not a change.",
		"### Changes to check before an upgrade",
		"- **`a` is now `b`**, as in [c](d.md). More about it",
		"  on a second line.",
		"",
		"- One that",
		"  ends on the second line",
		"### Fixed: loss",
		"- Version 2.0.11 works, too. Yes.",
		"### Security",
		"- A fault.",
	}, "\n")}
	got, err := changesOf(s)
	want := []change{
		{"changed", "a is now b, as in c."},
		{"changed", "One that ends on the second line"},
		{"fixed", "Version 2.0.11 works, too."},
		{"security", "A fault."},
	}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("got %v and %v, want %v", got, err, want)
	}
	if _, err := changesOf(section{body: "### News\n- A."}); err == nil || !strings.Contains(err.Error(), `"### News"`) {
		t.Errorf("an unknown heading: got %v", err)
	}
	if _, err := changesOf(section{line: 7, body: "Text."}); err == nil || !strings.Contains(err.Error(), "CHANGELOG.md:7") {
		t.Errorf("no change: got %v", err)
	}
}

func TestChart_OfThisRepository_HasVersionsAndChanges(t *testing.T) {
	dir := t.TempDir()
	const v = "9.8.7-rc.1"
	if err := writeChart(root, v, dir); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(dir, "mqttbridge-operator", "Chart.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var chart chartFile
	if err := yaml.Unmarshal(data, &struct {
		Version     *string            `yaml:"version"`
		AppVersion  *string            `yaml:"appVersion"`
		Annotations *map[string]string `yaml:"annotations"`
	}{&chart.Version, &chart.AppVersion, &chart.Annotations}); err != nil {
		t.Fatal(err)
	}
	if chart.Version != v || chart.AppVersion != v {
		t.Errorf("the versions are %q and %q, want %q", chart.Version, chart.AppVersion, v)
	}
	if err := checkChart(&chart); err != nil {
		t.Error(err)
	}
	var changes []change
	if err := yaml.Unmarshal([]byte(chart.Annotations[annotation+"changes"]), &changes); err != nil || len(changes) < 10 {
		t.Errorf("the annotation changes has %d entries, and the error is %v", len(changes), err)
	}
	for _, c := range changes {
		if !slices.Contains([]string{"added", "changed", "deprecated", "removed", "fixed", "security"}, c.Kind) || len(c.Description) < 10 || strings.ContainsAny(c.Description, "`\n") {
			t.Errorf("the change %+v is not readable", c)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "mqttbridge-operator", "templates", "_helpers.tpl")); err != nil {
		t.Error(err)
	}
}

func TestRun_WrongArguments_ShowUsage(t *testing.T) {
	for _, args := range [][]string{nil, {"check", "1.0.0", "x"}, {"notes"}, {"chart", "1.0.0"}, {"publish", "1.0.0"}} {
		if err := run(root, args, &bytes.Buffer{}); !errors.Is(err, errUsage) {
			t.Errorf("%q: got %v", args, err)
		}
	}
}
