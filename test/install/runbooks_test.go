// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package install

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mqttbridge/mqttbridge-operator/test/apiserver"
)

// Each command of the runbooks runs against an API server with a bridge. Pods do not exist there:
// for a command that names one, the answer of the API server proves that kubectl accepts the
// arguments.
func TestRunbooks_Commands_AreAccepted(t *testing.T) {
	i := newInstallation(t)
	i.mustRun(i.kubectl + " apply --server-side -f config/crd/bases/mqttbridge.io_mqttbridges.yaml")
	b := i.createBridge(metav1.NamespaceDefault)
	defer i.mustRun(i.kubectl + " delete mqttbridge plant --namespace=default")
	files, err := filepath.Glob(filepath.Join(apiserver.Root(), "docs", "runbooks", "*.md"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no runbooks: %v", err)
	}
	block, names := regexp.MustCompile("(?s)```sh\n(.*?)```"), strings.NewReplacer("NAMESPACE", b.Namespace, "NAME", b.Name, "POD", "absent")
	ran := map[string]bool{}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, found := range block.FindAllStringSubmatch(string(data), -1) {
			for command := range strings.Lines(names.Replace(found[1])) {
				arguments, ok := strings.CutPrefix(strings.TrimSpace(command), "kubectl ")
				if !ok {
					t.Errorf("%s: the test cannot run %q", filepath.Base(file), command)
					continue
				}
				if ran[arguments] {
					continue
				}
				ran[arguments] = true
				if out, err := i.run(i.kubectl + " " + arguments); err != nil && !strings.Contains(out, `pods "absent" not found`) {
					t.Errorf("%s: %s: %v\n%s", filepath.Base(file), command, err, out)
				}
			}
		}
	}
	if len(ran) < 10 {
		t.Errorf("only %d commands were found", len(ran))
	}
}
