// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package commands

import (
	"path"
	"regexp"
	"strings"
	"testing"
)

// A coverage is a test that takes the commands of a page from the page.
type coverage struct {
	test string // its name, or the common beginning of the names of several tests
	dir  string
}

var (
	administrator = coverage{"TestAdministratorPages_Commands_AreAccepted", "test/install"}
	made          = coverage{"TestPages_CommandsOfMakeAndGo_Exist", "test/commands"}
)

// covered are the tests of each page with blocks of shell commands. A key that ends with a slash is all pages of the
// directory.
var covered = map[string][]coverage{
	"README.md":                            {administrator, {"TestTry_ServersAndRunnerKilled_NothingIsLostInAMinute", "hack/try"}},
	"CONTRIBUTING.md":                      {administrator, made, {"TestContributingPage_", "test/commands"}},
	"charts/mqttbridge-operator/README.md": {administrator},
	"docs/api-policy.md":                   {{"TestMigration_ToV1beta1_KeepsBridgesWithoutAWebhook", "test/crd"}},
	"docs/check.md":                        {{"TestCheckPage_Commands_PrintShownOutput", "test/docs"}},
	"docs/failover.md":                     {administrator},
	"docs/guides/deletion.md":              {{"TestDeletionPage_Commands_RemoveTheirObjects", "test/install"}, {"TestDeletionPage_", "test/runner"}, {"TestDeletionPage_Unit_NothingRemains", "test/edge"}},
	"docs/guides/disaster-recovery.md":     {{"TestDisasterRecoveryPage_Commands_SwitchSites", "test/install"}},
	"docs/guides/edge.md":                  {{"TestEdgePage_", "test/edge"}, {"TestEdgePage_Archive_HasTheFilesOfThePage", "test/release"}},
	"docs/guides/in-ten-minutes.md":        {{"TestGuide_InTenMinutes_ShowsFailover", "test/e2e"}},
	"docs/guides/moving.md":                {{"TestMoving_CommandsOfThePage_LoseNothing", "test/guides"}},
	"docs/guides/tls.md":                   {{"TestTLS_CommandsOfThePage_Connect", "test/guides"}},
	"docs/guides/your-broker.md":           {{"TestYourBroker_CommandsOfThePage_Work", "test/guides"}},
	"docs/guides/your-cloud.md":            {{"TestYourCloud_CommandsOfThePage_Work", "test/guides"}},
	"docs/import.md":                       {{"TestImport_ExampleOfThePage_GivesItsOutput", "bridge-runner/command"}},
	"docs/installation.md":                 {{"TestInstallationPage_HelmCommands_Work", "test/install"}, {"TestKustomize_Install_RunsAWorkingOperator", "test/e2e"}},
	"docs/kubectl-plugin.md":               {{"TestDocs_CommandsOfThePage_Work", "kubectl-mqttbridge/cli"}},
	"docs/labels.md":                       {administrator},
	"docs/monitoring.md":                   {administrator},
	"docs/operations.md":                   {administrator},
	"docs/performance.md":                  {made, {"TestPerformancePage_", "test/commands"}},
	"docs/releases.md":                     {{"TestReleasesPage_", "test/release"}},
	"docs/runbooks/":                       {{"TestRunbooks_Commands_AreAccepted", "test/install"}},
	"docs/scale.md":                        {made, {"TestScalePage_", "test/commands"}},
	"docs/two-runners.md":                  {administrator},
	"test/monitoring/testdata/README.md":   {made},
}

// shells are the names of shells that a block of commands must not have as its language, because the tests of the
// pages run the blocks sh.
var shells = regexp.MustCompile(`^(bash|shell|zsh|terminal)$`)

func TestPages_WithCommands_HaveATestThatRunsThem(t *testing.T) {
	tests := newTree(t)
	found := map[string]bool{}
	for _, name := range pages(t) {
		text := read(t, name)
		for _, m := range fence.FindAllStringSubmatch(text, -1) {
			if shells.MatchString(m[1]) {
				t.Errorf("%s: a block has the language %s; use sh, so that the tests find it", name, m[1])
			}
		}
		if len(scripts(text)) == 0 {
			continue
		}
		key := name
		if covered[key] == nil {
			key = path.Dir(name) + "/"
		}
		if covered[key] == nil {
			t.Errorf("%s has commands; write a test that runs them, and name it in covered", name)
		}
		found[key] = true
	}
	for name, list := range covered {
		if !found[name] {
			t.Errorf("%s has no commands; remove it from covered", name)
		}
		for _, c := range list {
			if tests.functions(c.dir, "^"+c.test) == 0 {
				t.Errorf("%s: no test %s is in %s; correct covered", name, c.test, c.dir)
			}
			// made reads all pages.
			if c != made && !strings.Contains(tests.sources(c.dir), path.Base(name)) {
				t.Errorf("%s: the tests in %s do not mention the page %s; correct covered", name, c.dir, path.Base(name))
			}
		}
	}
}
