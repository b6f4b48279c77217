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

// These tests are about the operator that all share, and so run one at a time.

func TestDataPlaneNeedsNoOperator(t *testing.T) {
	w := newWorld(t)
	w.ready()
	must(t, release.Scale(t.Context(), 0))
	t.Cleanup(func() { must(t, release.Scale(context.Background(), cluster.OperatorReplicas)) })
	w.stream()
	killed, err := w.primary.Kill(t.Context())
	must(t, err)
	first, err := w.collector.WaitFrom(w.backup.Name, killed, soon)
	must(t, err)
	t.Logf("without an operator the first message came through the backup after %s", first.Time.Sub(killed))
	w.flow(200)
	w.finish()
	// The runner reports by itself: who is active shows without an operator.
	w.eventually(soon, func() error {
		if s := w.get().Status.Remote; s == nil || s.Active == nil || s.Active.URL != w.backup.URL() {
			return fmt.Errorf("the status does not show the backup: %+v", s)
		}
		return nil
	})
}

func TestSteadyStateWritesNothing(t *testing.T) {
	w := newWorld(t)
	w.ready()
	w.stream()
	const kinds = "mqttbridges,deployments,replicasets,configmaps,secrets,serviceaccounts,roles,rolebindings,events"
	versions := func() string {
		format := `jsonpath={range .items[*]}{.kind}/{.metadata.name} {.metadata.resourceVersion}{"\n"}{end}`
		// A kubelet writes a pod's status when it likes, some cgroup limits of it 6 s late: its own writes do not count.
		pods := `jsonpath={range .items[*]}{.kind}/{.metadata.name}` +
			`{range .metadata.managedFields[?(@.manager!="kubelet")]} {.manager} {.time}{end}{"\n"}{end}`
		return w.kubectl("get", kinds, "-o", format) + w.kubectl("get", "pods", "-o", pods)
	}
	var before string
	w.eventually(soon, func() error { // what follows the start comes to rest
		last := before
		before = versions()
		time.Sleep(3 * time.Second)
		if last != before {
			return fmt.Errorf("still changing:\n%s", before)
		}
		return nil
	})
	time.Sleep(time.Minute) // what is measured is that nothing happens
	if after := versions(); after != before {
		t.Errorf("a steady bridge under load was written to within a minute:\nbefore\n%s\nafter\n%s", before, after)
	}
	w.finish()
}

func TestOperatorMetricsWantAnAuthorisedToken(t *testing.T) {
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return shared.DialPod(ctx, cluster.OperatorNamespace, release.Selector(), 8443)
		},
		// The certificate is made at start and is no one's; who asks is what matters.
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
		t.Errorf("without a token the metrics answer %d, want 401", code)
	}
	w.kubectl("create", "serviceaccount", "scraper")
	t.Cleanup(func() {
		_, _ = shared.Kubectl(context.Background(), "-n", w.namespace, "delete", "serviceaccount", "scraper")
	})
	token := strings.TrimSpace(w.kubectl("create", "token", "scraper"))
	if code, _ := get(token); code != http.StatusForbidden {
		t.Errorf("with a token without the right the metrics answer %d, want 403", code)
	}
	w.kubectl("create", "clusterrolebinding", "e2e-scraper", "--clusterrole="+release.MetricsReader(), "--serviceaccount="+w.namespace+":scraper")
	t.Cleanup(func() {
		_, _ = shared.Kubectl(context.Background(), "delete", "clusterrolebinding", "e2e-scraper")
	})
	w.eventually(soon, func() error {
		code, body := get(token)
		if code != http.StatusOK || !strings.Contains(body, "go_info") {
			return fmt.Errorf("with the right the metrics answer %d", code)
		}
		return nil
	})
}
