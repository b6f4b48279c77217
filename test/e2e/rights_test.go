// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"strings"
	"testing"
)

func TestRunnerPermissions_ServiceAccount_AreMinimal(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.ready() // in a namespace with the restricted profile
	account := "system:serviceaccount:" + w.namespace + ":" + w.pod().Spec.ServiceAccountName
	for _, tc := range []struct {
		question []string
		want     string
	}{
		{[]string{"get", "secrets"}, "no"},
		{[]string{"list", "secrets"}, "no"},
		{[]string{"get", "configmaps"}, "no"},
		{[]string{"watch", "configmaps"}, "no"},
		{[]string{"watch", "configmaps/" + bridgeName + "-bridge"}, "yes"},
		{[]string{"patch", "mqttbridges/" + bridgeName}, "no"},
		{[]string{"patch", "mqttbridges/another", "--subresource=status"}, "no"},
		{[]string{"patch", "mqttbridges/" + bridgeName, "--subresource=status"}, "yes"},
		{[]string{"create", "pods"}, "no"},
	} {
		args := append([]string{"auth", "can-i", "--as=" + account}, tc.question...)
		out, _ := shared.Kubectl(t.Context(), append([]string{"-n", w.namespace}, args...)...) // kubectl returns exit code 1 for "no"
		if got := strings.TrimSpace(out); got != tc.want {
			t.Errorf("permission of the runner to %s: %s, want %s", strings.Join(tc.question, " "), got, tc.want)
		}
	}
}
