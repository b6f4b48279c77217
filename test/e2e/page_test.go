// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
)

// The ways to reach the page of docs/operations.md and docs/security.md: a forwarded port, and below the
// path of a proxy.
func TestPage_PortForwardAndProxy_ShowTheState(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.ready()
	w.kubectl("wait", "pods", "--selector=app.kubernetes.io/instance="+bridgeName, "--for=condition=Ready", "--timeout=60s") // the runner reports before the kubelet
	want := "<h1><bdi>" + w.namespace + "/" + bridgeName + "</bdi></h1>"
	client := &http.Client{Timeout: eventTimeout, Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return shared.DialPod(ctx, w.namespace, "app.kubernetes.io/instance="+bridgeName, 8080)
	}}}
	response, err := client.Get("http://localhost:8080/")
	must(t, err)
	body, err := io.ReadAll(response.Body)
	must(t, err)
	must(t, response.Body.Close())
	if !strings.Contains(string(body), want) {
		t.Errorf("by a forwarded port: %s: %s", response.Status, body)
	}
	if body := w.kubectl("get", "--raw", "/api/v1/namespaces/"+w.namespace+"/pods/"+w.pod().Name+":8080/proxy/"); !strings.Contains(body, want) {
		t.Errorf("by the proxy of the API server: %s", body)
	}
	if name := w.kubectl("get", "deployment/"+bridgeName+"-bridge", "-o", "name"); strings.TrimSpace(name) != "deployment.apps/"+bridgeName+"-bridge" {
		t.Errorf("the Deployment of docs/operations.md is %s", name)
	}
}
