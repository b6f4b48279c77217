// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/test/cluster"
)

// These tests change or measure the operator that all tests share, and therefore do not run in
// parallel with others.

func TestOperator_ScaledToZero_BridgeFailsOver(t *testing.T) {
	w := newWorld(t)
	w.ready()
	must(t, release.Scale(t.Context(), 0))
	t.Cleanup(func() { must(t, release.Scale(context.Background(), cluster.OperatorReplicas)) })
	w.stream()
	killed, err := w.primary.Kill(t.Context())
	must(t, err)
	first, err := w.collector.WaitFrom(w.backup.Name, killed, eventTimeout)
	must(t, err)
	t.Logf("without an operator, the first message arrived through the backup after %s", first.Time.Sub(killed))
	w.flow(200)
	w.finish()
	// The runner reports its own status, so the status shows the active server without an operator.
	w.eventually(eventTimeout, func() error {
		if s := w.get().Status.Remote; s == nil || s.Active == nil || s.Active.URL != w.backup.URL() {
			return fmt.Errorf("the status does not show the backup: %+v", s)
		}
		return nil
	})
}

func TestSteadyState_UnderLoad_WritesNothing(t *testing.T) {
	w := newWorld(t)
	w.ready()
	w.stream()
	const kinds = "mqttbridges,deployments,replicasets,configmaps,secrets,serviceaccounts,roles,rolebindings,events"
	versions := func() string {
		format := `jsonpath={range .items[*]}{.kind}/{.metadata.name} {.metadata.resourceVersion}{"\n"}{end}`
		// The kubelet updates a pod's status at any time, for example some cgroup limits 6 s late:
		// its updates do not count.
		pods := `jsonpath={range .items[*]}{.kind}/{.metadata.name}` +
			`{range .metadata.managedFields[?(@.manager!="kubelet")]} {.manager} {.time}{end}{"\n"}{end}`
		return w.kubectl("get", kinds, "-o", format) + w.kubectl("get", "pods", "-o", pods)
	}
	var before string
	w.eventually(eventTimeout, func() error { // the changes after the start come to an end
		last := before
		before = versions()
		time.Sleep(3 * time.Second)
		if last != before {
			return fmt.Errorf("objects still change:\n%s", before)
		}
		return nil
	})
	time.Sleep(time.Minute) // no event can be awaited: the test shows that nothing is written
	if after := versions(); after != before {
		t.Errorf("objects of a steady bridge under load changed within a minute:\nbefore\n%s\nafter\n%s", before, after)
	}
	w.finish()
}

func TestOperatorMetrics_Token_MustBeAuthorised(t *testing.T) {
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return shared.DialPod(ctx, cluster.OperatorNamespace, release.Selector(), 8443)
		},
		// The operator creates a self-signed certificate at its start. The test checks the
		// authentication of the client only.
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
	}}
	get := func(token string) (int, string) {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://operator/metrics", http.NoBody)
		must(t, err)
		if token != "" {
			request.Header.Set("Authorization", "Bearer "+token)
		}
		response, err := client.Do(request)
		must(t, err)
		defer func() { _ = response.Body.Close() }()
		body, err := io.ReadAll(response.Body)
		must(t, err)
		return response.StatusCode, string(body)
	}
	w := &world{t: t, namespace: cluster.OperatorNamespace}
	if code, _ := get(""); code != http.StatusUnauthorized {
		t.Errorf("without a token, the metrics answer %d, want 401", code)
	}
	w.kubectl("create", "serviceaccount", "scraper")
	t.Cleanup(func() {
		_, _ = shared.Kubectl(context.Background(), "-n", w.namespace, "delete", "serviceaccount", "scraper")
	})
	token := strings.TrimSpace(w.kubectl("create", "token", "scraper"))
	if code, _ := get(token); code != http.StatusForbidden {
		t.Errorf("with a token without the permission, the metrics answer %d, want 403", code)
	}
	w.kubectl("create", "clusterrolebinding", "e2e-scraper", "--clusterrole="+release.MetricsReader(), "--serviceaccount="+w.namespace+":scraper")
	t.Cleanup(func() {
		_, _ = shared.Kubectl(context.Background(), "delete", "clusterrolebinding", "e2e-scraper")
	})
	w.eventually(eventTimeout, func() error {
		code, body := get(token)
		if code != http.StatusOK || !strings.Contains(body, "go_info") {
			return fmt.Errorf("with the permission, the metrics answer %d, want 200", code)
		}
		return nil
	})
}
