// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package main

import (
	"context"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/mqttbridge/mqttbridge-operator/test/cluster"
)

const root = "../.."

// steps are the texts that the output of the demo has in this order.
var steps = []string{
	"Forwarding",
	"killing the primary, cloud-1",
	"messages arrive through cloud-2",
	"FailedOver",
	"messages arrive through cloud-1 again",
	"FailedBack",
	`lost +0 `,
	"cleaning up: removing the operator",
}

func checkSteps(t *testing.T, output string) {
	t.Helper()
	for _, step := range steps {
		at := regexp.MustCompile(step).FindStringIndex(output)
		if at == nil {
			t.Fatalf("the output has no %q after the steps before it:\n%s", step, output)
		}
		output = output[at[1]:]
	}
}

// shell executes a command in the project's root.
func shell(t *testing.T, env []string, command string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "sh", "-c", command)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), env...)
	output, err := cmd.CombinedOutput()
	return string(output), err
}

// The test executes the command of the README on the local cluster.
func TestDemo_LocalCluster_ShowsTheFailoverAndRemovesEverything(t *testing.T) {
	output, err := shell(t, nil, "make demo")
	if err != nil {
		t.Fatalf("make demo: %v\n%s", err, output)
	}
	checkSteps(t, output)
}

func TestDemo_Help_ListsTheFlags(t *testing.T) {
	output, err := shell(t, nil, "make demo DEMO_FLAGS=-h")
	if err != nil {
		t.Fatalf("make demo: %v\n%s", err, output)
	}
	flags := flag.NewFlagSet("demo", flag.ContinueOnError)
	new(options).addFlags(flags)
	flags.VisitAll(func(f *flag.Flag) {
		if !strings.Contains(output, "\n  -"+f.Name) {
			t.Errorf("the flag -%s is missing:\n%s", f.Name, output)
		}
	})
}

// userContext is a context that no kubeconfig of this machine has.
const userContext = "factory"

// foreign is the local cluster as a cluster of the user: a kubeconfig of its own has it under another name and not as
// the current context, it pulls the image of the operator from a registry, and it has the public image of the broker.
type foreign struct {
	*cluster.Cluster
	env     []string // of commands of the user
	command string   // of the README, with the name of the context and the image
}

func openForeign(t *testing.T) *foreign {
	t.Helper()
	dir, err := filepath.Abs(root)
	must(t, err)
	local, err := cluster.Up(t.Context(), dir, t.Output())
	must(t, err)
	if local.Started {
		t.Cleanup(func() { must(t, local.Down(context.WithoutCancel(t.Context()))) })
	}
	_, err = local.NewRelease(t.Context()) // returns an error if the cluster is in use
	must(t, err)

	path := filepath.Join(t.TempDir(), "kubeconfig")
	config, err := local.Kubectl(t.Context(), "config", "view", "--raw", "--minify", "--flatten")
	must(t, err)
	must(t, os.WriteFile(path, []byte(config), 0o600))
	tools := filepath.Dir(local.KubectlCommand(t.Context()).Path)
	f := &foreign{Cluster: local, env: []string{"KUBECONFIG=" + path, "PATH=" + tools + string(os.PathListSeparator) + os.Getenv("PATH")}}
	f.run(t, "kubectl config rename-context $(kubectl config current-context) "+userContext)
	f.run(t, "kubectl config unset current-context")

	broker := flag.NewFlagSet("demo", flag.ContinueOnError)
	new(options).addFlags(broker)
	must(t, local.LoadBrokerImageAs(t.Context(), broker.Lookup("broker-image").DefValue))
	image, stop, err := local.ServeOperatorImage(t.Context())
	must(t, err)
	t.Cleanup(stop)
	f.command = readmeCommand(t, userContext, image)
	return f
}

// readmeCommand returns the command of README.md for a cluster of the user.
func readmeCommand(t *testing.T, contextName, image string) string {
	t.Helper()
	readme, err := os.ReadFile(filepath.Join(root, "README.md"))
	must(t, err)
	command := regexp.MustCompile("`(make demo CONTEXT=[^`]+)`").FindStringSubmatch(string(readme))
	if command == nil {
		t.Fatal("README.md has no command for a cluster of the user")
	}
	text := command[1]
	for old, value := range map[string]string{"CONTEXT=name": "CONTEXT=" + contextName, "=your.registry/mqttbridge-operator:tag": "=" + image} {
		if strings.Count(text, old) != 1 {
			t.Fatalf("%q is not once in %s", old, text)
		}
		text = strings.Replace(text, old, value, 1)
	}
	return text
}

// run executes a command of the user, which must succeed.
func (f *foreign) run(t *testing.T, command string) string {
	t.Helper()
	output, err := shell(t, f.env, command)
	if err != nil {
		t.Fatalf("%s: %v\n%s", command, err, output)
	}
	return output
}

// objects returns the names of the namespaces, the CRDs and the cluster's roles.
func (f *foreign) objects(t *testing.T) string {
	t.Helper()
	return f.run(t, "kubectl --context "+userContext+" get namespaces,customresourcedefinitions,clusterroles,clusterrolebindings --output=name")
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// remedyOf matches the command in the refusal of a cluster with the CRD.
var remedyOf = regexp.MustCompile(`run (kubectl delete \S+)`)

// The demo removes the CRD at the end, and with it the bridges of another operator.
func TestDemo_ClusterOfTheUser_RefusesItWithTheCRDAndThenRemovesEverything(t *testing.T) {
	f := openForeign(t)
	f.run(t, "kubectl --context "+userContext+" delete --ignore-not-found --filename=config/crd/bases")
	before := f.objects(t)

	f.run(t, "kubectl --context "+userContext+" create --filename=config/crd/bases")
	f.run(t, "kubectl --context "+userContext+" wait --for=condition=Established --filename=config/crd/bases")
	f.run(t, "kubectl --context "+userContext+" apply --filename=hack/demo/bridge.yaml")
	used := f.objects(t)
	output, err := shell(t, f.env, f.command)
	remedy := remedyOf.FindStringSubmatch(output)
	if err == nil || remedy == nil || !strings.Contains(output, "kubectl get mqttbridges -A") {
		t.Fatalf("on a cluster with the CRD, %s: %v\n%s", f.command, err, output)
	}
	if after := f.objects(t); after != used {
		t.Errorf("the refused demo has changed the cluster from\n%s\nto\n%s", used, after)
	}
	f.run(t, "kubectl --context "+userContext+" get mqttbridge "+bridgeName)

	f.run(t, strings.Replace(remedy[1], "kubectl", "kubectl --context "+userContext, 1))
	checkSteps(t, f.run(t, f.command))
	if after := f.objects(t); after != before {
		t.Errorf("the demo has changed the cluster from\n%s\nto\n%s", before, after)
	}
}
