// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"

	"github.com/mqttbridge/mqttbridge-operator/test/apiserver"
	"github.com/mqttbridge/mqttbridge-operator/test/mqtttest"
)

// check runs `manager check` against the API server of the tests.
func check(t *testing.T, config *rest.Config, args ...string) (out string, err error) {
	t.Helper()
	var b bytes.Buffer
	err = runCheck(t.Context(), func() (*rest.Config, error) { return config, nil }, args, &b)
	return b.String(), err
}

func TestCheck_RunningOperator_Passes(t *testing.T) {
	apiserver.Need(t, server)
	const class = "checked"
	if err := permitLease(t.Context(), class); err != nil {
		t.Fatal(err)
	}
	s := &settings{
		runnerImage: "registry.example/runner:v1", watchNamespaces: []string{metav1.NamespaceDefault}, class: class, clusterID: "test",
		leaderElect: true, leaderElectionNamespace: "mqttbridge-system",
		metricsAddress: mqtttest.FreeAddress(t), probeAddress: disabled,
	}
	mgr, err := newManager(t.Context(), operatorRest, s)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	stopped := make(chan error, 1)
	go func() { stopped <- mgr.Start(ctx) }()

	// The check starts together with the operator, and waits for it. It has the operator's rights.
	out, err := check(t, operatorRest, "--lease=mqttbridge-system/"+leaseName(class), "--metrics-url=https://"+s.metricsAddress+"/metrics")
	if err != nil {
		t.Errorf("the check has failed: %v", err)
	}
	for _, want := range []string{"passed: the API server serves mqttbridges of mqttbridge.io/v1alpha1\n", " is active: it holds the Lease mqttbridge-system/checked.operator.mqttbridge.io\n", "refuses a client without credentials\n"} {
		if !strings.Contains(out, want) {
			t.Errorf("the output lacks %q:\n%s", want, out)
		}
	}
	cancel()
	if err := <-stopped; err != nil {
		t.Error(err)
	}

	out, err = check(t, operatorRest, "--timeout=1ms", "--lease=mqttbridge-system/"+leaseName(class))
	if err == nil || !strings.Contains(err.Error(), "no operator holds the Lease mqttbridge-system/checked.operator.mqttbridge.io; see kubectl get pods") {
		t.Errorf("after the operator has stopped: %v\n%s", err, out)
	}
}

func TestCheck_LeaseNotRenewed_NamesTheHolder(t *testing.T) {
	apiserver.Need(t, server)
	renewed := metav1.NewMicroTime(time.Now().Add(-time.Minute))
	lease := &coordinationv1.Lease{
		ObjectMeta: metav1.ObjectMeta{Namespace: metav1.NamespaceDefault, Name: "expired"},
		Spec:       coordinationv1.LeaseSpec{HolderIdentity: ptr.To("pod-1"), LeaseDurationSeconds: ptr.To[int32](15), RenewTime: &renewed},
	}
	if err := server.Client.Create(t.Context(), lease); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"expired": "pod-1 holds the Lease default/expired, but has not renewed it since ",
		"none":    "the Lease default/none does not exist",
	} {
		if _, err := check(t, server.Admin, "--timeout=1ms", "--lease=default/"+name); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v; want %q", name, err, want)
		}
	}
}

func TestCheckMetrics_OtherAnswers_AreFaults(t *testing.T) {
	open := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(open.Close)
	for url, want := range map[string]string{
		open.URL + "/metrics":                "answers 404 Not Found to a client without credentials; want 401 Unauthorized",
		"https://" + mqtttest.FreeAddress(t): "no operator answers at https://127.0.0.1:",
		"://":                                `--metrics-url is "://"`,
	} {
		if _, err := checkMetrics(t.Context(), url); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v; want %q", url, err, want)
		}
	}
}

func TestCheck_NoCRD_NamesTheRemedy(t *testing.T) {
	empty := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(empty.Close)
	_, err := check(t, &rest.Config{Host: empty.URL}, "--timeout=1ms")
	if err == nil || !strings.Contains(err.Error(), "does not serve mqttbridge.io/v1alpha1; install the CRD: set crds.install") {
		t.Error(err)
	}
}

func TestCheck_WrongArguments_AreNamed(t *testing.T) {
	for _, c := range []struct{ arg, want string }{
		{"--lease=operator", `--lease is "operator"; set it to NAMESPACE/NAME`},
		{"now", `the argument "now" is unknown`},
		{"--timeout=soon", `invalid value "soon" for flag -timeout`},
	} {
		if _, err := check(t, &rest.Config{}, c.arg); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v; want %q", c.arg, err, c.want)
		}
	}
	none := errors.New("no cluster")
	if err := runCheck(t.Context(), func() (*rest.Config, error) { return nil, none }, nil, &bytes.Buffer{}); !errors.Is(err, none) {
		t.Errorf("%v; want %v", err, none)
	}
}
