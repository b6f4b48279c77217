// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package release

import (
	"cmp"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/mqttbridge/mqttbridge-operator/test/apiserver"
)

func workflows(t *testing.T) map[string]string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(apiserver.Root(), ".github", "workflows", "*.yml"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no workflow: %v", err)
	}
	out := map[string]string{}
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		out[filepath.Base(path)] = string(data)
	}
	return out
}

func TestWorkflows_Actionlint_FindsNothing(t *testing.T) {
	run(t, pinned("actionlint")+" .github/workflows/*.yml")
}

// A tag of an action can be moved, and its commit cannot.
func TestWorkflows_Actions_ArePinnedByCommit(t *testing.T) {
	pinned := regexp.MustCompile(`^\s*(?:- )?uses: [\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$`)
	found := 0
	for name, text := range workflows(t) {
		for line := range strings.Lines(text) {
			if !strings.Contains(line, "uses:") {
				continue
			}
			found++
			if !pinned.MatchString(strings.TrimRight(line, "\n")) {
				t.Errorf("%s: %s", name, line)
			}
		}
	}
	if found < 5 {
		t.Errorf("only %d actions were found", found)
	}
}

// The make targets pass VERSION to a shell, so that a tag with shell code must end the workflow before.
func TestReleaseWorkflow_Tag_IsAVersionOrRefused(t *testing.T) {
	var workflow struct {
		Jobs map[string]struct{ Steps []struct{ Name, Run string } }
	}
	if err := yaml.Unmarshal([]byte(workflows(t)["release.yml"]), &workflow); err != nil {
		t.Fatal(err)
	}
	script := ""
	for _, step := range workflow.Jobs["release"].Steps {
		if strings.Contains(step.Run, "make ") {
			break
		}
		script += step.Run
	}
	for tag, want := range map[string]string{
		"v1.2.3": "VERSION=1.2.3\n", "v10.0.12-rc.1": "VERSION=10.0.12-rc.1\n",
		"v1.2.3;id": "", "v1.2.3$(id)": "", "v$(shell${IFS}id)": "", "v1.2.3&&id": "", "v1.2": "", "very-old": "", "v1.2.3-beta": "", "1.2.3": "",
	} {
		env := filepath.Join(t.TempDir(), "env")
		cmd := exec.CommandContext(t.Context(), "bash", "-e", "-c", script)
		cmd.Env = append(os.Environ(), "GITHUB_REF_NAME="+tag, "GITHUB_ENV="+env)
		out, err := cmd.CombinedOutput()
		got, _ := os.ReadFile(env)
		if string(got) != want || (err == nil) != (want != "") {
			t.Errorf("%s: the environment is %q, the error %v, and the output %q; want %q", tag, got, err, out, want)
		}
		if want == "" && (!strings.Contains(string(out), tag) || !strings.Contains(string(out), "v1.2.3-rc.1")) {
			t.Errorf("%s: the output does not name the tag and the form: %q", tag, out)
		}
	}
}

// Only the job that runs for a tag may write, and each right is named.
func TestWorkflows_Permissions_AreLimited(t *testing.T) {
	var workflow struct {
		Permissions map[string]string
		Jobs        map[string]struct {
			If          string
			Permissions map[string]string
		}
	}
	if err := yaml.Unmarshal([]byte(workflows(t)["release.yml"]), &workflow); err != nil {
		t.Fatal(err)
	}
	if len(workflow.Permissions) != 0 || len(workflow.Jobs) != 2 {
		t.Errorf("the workflow has the permissions %q and %d jobs", workflow.Permissions, len(workflow.Jobs))
	}
	for name, job := range workflow.Jobs {
		for right, level := range job.Permissions {
			if level == "write" && job.If != "github.event_name == 'push'" {
				t.Errorf("the job %s may write %s if %q", name, right, job.If)
			}
		}
	}
}

// The make targets that the workflow runs exist, and with the variables that it sets.
func TestWorkflows_MakeTargets_Exist(t *testing.T) {
	commands := regexp.MustCompile(`make [a-z-]+(?: VERSION="\$VERSION")?`).FindAllString(workflows(t)["release.yml"], -1)
	if len(commands) < 4 {
		t.Fatalf("the workflow has the commands %q", commands)
	}
	for _, command := range commands {
		run(t, strings.Replace(command, "make ", "make --dry-run ", 1), "VERSION=1.2.3")
	}
}

func TestGoreleaser_Check_Passes(t *testing.T) {
	if out := run(t, pinned("goreleaser")+" check --quiet"); strings.Contains(out, "DEPRECATED") {
		t.Error(out)
	}
}

// Users compare the identity in the certificates with the identity on the page.
func TestReleasesPage_Identity_IsTheWorkflowsIdentity(t *testing.T) {
	page := strings.Join(documented(t, "Verification"), "\n")
	const identity = `--certificate-identity "https://github.com/mqttbridge/mqttbridge-operator/.github/workflows/release.yml@refs/tags/v$VERSION"`
	if n := strings.Count(page, identity); n != 2 || strings.Count(page, "--certificate-identity") != n {
		t.Errorf("the identity is in %d commands", n)
	}
	text := workflows(t)["release.yml"]
	for _, want := range []string{"name: release\n", `tags: ["v*"]`, "id-token: write", "attestations: write", "subject-checksums: dist/checksums.txt", "subject-checksums: dist/digests.txt"} {
		if !strings.Contains(text, want) {
			t.Errorf("the workflow has no %q", want)
		}
	}
}

// The page lists the files of the snapshot, and no others.
func TestReleasesPage_Files_AreThoseOfTheSnapshot(t *testing.T) {
	s := built(t)
	data, err := os.ReadFile(filepath.Join(apiserver.Root(), "docs", "releases.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(data), "\n## Files\n")
	table, _, _ = strings.Cut(table, "\n## ")
	for program, platforms := range releasePlatforms() {
		row := regexp.MustCompile("(?m)^\\| `" + program + "_VERSION_PLATFORM.tar.gz`.*$").FindString(table)
		for _, platform := range platforms {
			if !strings.Contains(row, "`"+platform+"`") {
				t.Errorf("the row of %s lacks %s: %q", program, platform, row)
			}
		}
		if got := strings.Count(row, "`linux_") + strings.Count(row, "`darwin_") + strings.Count(row, "`windows_"); got != len(platforms) {
			t.Errorf("the row of %s has %d platforms; want %d", program, got, len(platforms))
		}
	}
	// The other rows are the files that are no archives, the image and the chart. The workflow adds the
	// manifest for krew and the signature.
	want := []string{
		"PROGRAM_VERSION_PLATFORM.cdx.json", "bridge-runner_VERSION_PLATFORM.tar.gz", "chart", "checksums.txt", "checksums.txt.sigstore.json",
		"image", "kubectl-mqttbridge_VERSION_PLATFORM.tar.gz", "manager_VERSION_PLATFORM.tar.gz", "mqttbridge.yaml",
	}
	extra, err := os.ReadDir(extraFiles())
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range extra {
		want = append(want, strings.ReplaceAll(file.Name(), s.Version, "VERSION"))
	}
	var got []string
	for _, row := range regexp.MustCompile("(?m)^\\| (?:(image|chart) )?`([^`]+)`").FindAllStringSubmatch(table, -1) {
		got = append(got, cmp.Or(row[1], row[2]))
	}
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("the rows of the table are\n%q\nwant\n%q", got, want)
	}
	for _, name := range s.names("SBOM") {
		if !strings.HasSuffix(name, ".cdx.json") {
			t.Errorf("%s is no SBOM in the format of the page", name)
		}
	}
}

// No signature exists without an identity of the workflow, so that the snapshot has none. The configuration
// must sign the checksums, which cover all files, the image and the chart.
func TestRelease_Configuration_SignsFilesImageAndChart(t *testing.T) {
	data, err := os.ReadFile(filepath.Join(apiserver.Root(), ".goreleaser.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	type sign struct {
		Artifacts, Cmd string
		Args           []string
	}
	var release struct {
		Signs       []sign
		DockerSigns []sign `json:"docker_signs"`
		Dockers     []struct {
			SBOM  bool
			Flags []string
		} `json:"dockers_v2"`
	}
	if err := yaml.Unmarshal(data, &release); err != nil {
		t.Fatal(err)
	}
	for what, c := range map[string]struct {
		signs           []sign
		artifacts, args string
	}{
		"the checksums": {release.Signs, "checksum", "sign-blob --bundle=${signature} --yes ${artifact}"},
		"the image":     {release.DockerSigns, "images", "sign --yes ${artifact}@${digest}"},
	} {
		if len(c.signs) != 1 || c.signs[0].Artifacts != c.artifacts || c.signs[0].Cmd != "cosign" || strings.Join(c.signs[0].Args, " ") != c.args {
			t.Errorf("goreleaser signs %s by %+v; want cosign with %q", what, c.signs, c.args)
		}
	}
	if len(release.Dockers) != 1 || !release.Dockers[0].SBOM || !strings.Contains(strings.Join(release.Dockers[0].Flags, " "), "--provenance=mode=max") {
		t.Errorf("the image has no SBOM or no provenance: %+v", release.Dockers)
	}
	text := workflows(t)["release.yml"]
	install, build := strings.Index(text, "uses: sigstore/cosign-installer@"), strings.Index(text, "make release VERSION=")
	if install < 0 || build < install || strings.Contains(text, "SKIP") {
		t.Error("the workflow does not install cosign before it runs make release, or skips a step of goreleaser")
	}
	for _, want := range []string{
		"make push-chart VERSION=\"$VERSION\"\n        cosign sign --yes \"ghcr.io/mqttbridge/charts/mqttbridge-operator@$(cat bin/release/chart.digest)\"",
		"gh release upload \"$GITHUB_REF_NAME\" dist/mqttbridge.yaml",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the workflow has no %q", want)
		}
	}
}

// The page states the versions of Kubernetes that the chart permits and that the tests use.
func TestReleasesPage_Kubernetes_IsThatOfChartAndTests(t *testing.T) {
	read := func(elem ...string) string {
		data, err := os.ReadFile(filepath.Join(append([]string{apiserver.Root()}, elem...)...))
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	oldest := regexp.MustCompile(`kubeVersion: ">=(\d+\.\d+)\.`).FindStringSubmatch(read("charts", "mqttbridge-operator", "Chart.yaml"))
	tested := regexp.MustCompile(`k8s\.io/kubernetes v(\d+\.\d+)\.`).FindStringSubmatch(read("hack", "tools", "kubernetes", "go.mod"))
	if oldest == nil || tested == nil {
		t.Fatalf("the chart permits %q, and the tests use %q", oldest, tested)
	}
	page := strings.Join(strings.Fields(read("docs", "releases.md")), " ")
	for _, want := range []string{"**Kubernetes " + oldest[1] + " or later.**", "for " + oldest[1] + ".", "a node of Kubernetes " + tested[1] + ","} {
		if !strings.Contains(page, want) {
			t.Errorf("docs/releases.md does not say %q", want)
		}
	}
}
