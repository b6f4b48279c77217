// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/tls"
	"io"
	"net/http"
	"strings"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mqttbridge/mqttbridge-operator/test/apiserver"
	"github.com/mqttbridge/mqttbridge-operator/test/mqtttest"
)

// metricsReader returns a token of a ServiceAccount that may get /metrics.
func metricsReader(t *testing.T, name string) string {
	t.Helper()
	role := &rbacv1.ClusterRole{}
	if err := readYAML("metrics_reader_role.yaml", role); err != nil {
		t.Fatal(err)
	}
	role.Name = name
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: metav1.NamespaceDefault, Name: name}}
	binding := &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: role.Name},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: account.Namespace, Name: account.Name}},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role.Name},
	}
	token := &authenticationv1.TokenRequest{}
	for _, err := range []error{
		server.Client.Create(t.Context(), account), server.Client.Create(t.Context(), role), server.Client.Create(t.Context(), binding),
		server.Client.SubResource("token").Create(t.Context(), account, token),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return token.Status.Token
}

// scrapeAll returns all metrics that an operator serves, as text.
func scrapeAll(ctx context.Context, t *testing.T, address, token string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+address+"/metrics", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK || !strings.Contains(string(body), "\nmqttbridge_operator_build_info{") {
		t.Fatalf("the operator answers %s, %v: %s", resp.Status, err, body)
	}
	return string(body)
}

// scrape returns the series of the bridges that an operator serves.
func scrape(ctx context.Context, t *testing.T, address, token string) (series []string) {
	t.Helper()
	for line := range strings.Lines(scrapeAll(ctx, t, address, token)) {
		if strings.HasPrefix(line, "mqttbridge_bridge_") {
			series = append(series, strings.TrimSpace(line))
		}
	}
	return series
}

func TestMetrics_TwoReplicas_OnlyTheLeaderHasBridges(t *testing.T) {
	apiserver.Need(t, server)
	const class = "metrics"
	if err := permitLease(t.Context(), class); err != nil {
		t.Fatal(err)
	}
	b := newBridge(metav1.NamespaceDefault, "measured", class)
	if err := server.Client.Create(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	addresses := []string{mqtttest.FreeAddress(t), mqtttest.FreeAddress(t)}
	for _, address := range addresses {
		startReplica(t, class, metav1.NamespaceDefault, address)
	}
	token := metricsReader(t, "prometheus-of-two")
	var all []string
	apiserver.Eventually(t, "the metrics of the bridge", func(ctx context.Context) (bool, error) {
		all = append(scrape(ctx, t, addresses[0], token), scrape(ctx, t, addresses[1], token)...)
		return len(all) > 0, nil
	})
	if text := strings.Join(all, "\n"); len(all) != 7 || !strings.Contains(text, `mqttbridge_bridge_ready{name="measured",namespace="default"} 0`) {
		t.Errorf("both replicas together have %d series of one bridge; want 7:\n%s", len(all), text)
	}
	if err := server.Client.Delete(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	apiserver.Eventually(t, "no series of the deleted bridge", func(ctx context.Context) (bool, error) {
		return len(scrape(ctx, t, addresses[0], token))+len(scrape(ctx, t, addresses[1], token)) == 0, nil
	})
}
