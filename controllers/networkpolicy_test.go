// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/test/apiserver"
)

// connections returns the connections that a policy permits, as "peers: ports", without DNS and the
// API server, which every policy permits.
func connections(t *testing.T, spec *networkingv1.NetworkPolicySpec) []string {
	t.Helper()
	var out []string
	for _, rule := range spec.Egress {
		var peers, ports []string
		for _, peer := range rule.To {
			switch {
			case peer.IPBlock != nil:
				peers = append(peers, peer.IPBlock.CIDR)
			case peer.NamespaceSelector != nil:
				peers = append(peers, "namespaces "+metav1.FormatLabelSelector(peer.NamespaceSelector))
			default:
				peers = append(peers, "pods "+metav1.FormatLabelSelector(peer.PodSelector))
			}
		}
		for _, port := range rule.Ports {
			ports = append(ports, fmt.Sprintf("%s/%s", port.Port, *port.Protocol))
		}
		out = append(out, strings.Join(peers, ",")+": "+strings.Join(ports, " "))
	}
	for _, always := range []string{": 53/UDP 53/TCP 5353/UDP 5353/TCP", ": 443/TCP 6443/TCP"} {
		i := slices.Index(out, always)
		if i < 0 {
			t.Fatalf("the policy does not permit %q: %q", always, out)
		}
		out = slices.Delete(out, i, i+1)
	}
	return out
}

func TestNetworkPolicy_Spec_PermitsTheDestinationsOfTheBridge(t *testing.T) {
	proxy := &v1alpha1.Proxy{URL: "http://proxy.example:3128"}
	for name, c := range map[string]struct {
		change func(*v1alpha1.MQTTBridge)
		want   []string
	}{
		"host names": {func(b *v1alpha1.MQTTBridge) {
			b.Spec.Local.Primary.URL, b.Spec.Remote.Primary.URL, b.Spec.Remote.Backups[0].URL = "mqtt://local", "mqtts://a", "wss://b/mqtt"
		}, []string{": 443/TCP 1883/TCP 8883/TCP"}},
		"host names at peers": {func(b *v1alpha1.MQTTBridge) {
			b.Spec.Runner.NetworkPolicy.ServersTo = []networkingv1.NetworkPolicyPeer{{IPBlock: &networkingv1.IPBlock{CIDR: "203.0.113.0/24"}}}
		}, []string{"203.0.113.0/24: 1883/TCP"}},
		"addresses": {func(b *v1alpha1.MQTTBridge) {
			b.Spec.Local.Primary.URL = "mqtt://192.0.2.1"
			b.Spec.Remote.Primary.URL, b.Spec.Remote.Backups[0].URL = "mqtt://[2001:db8::1]:1884", "mqtts://[fe80::1%25eth0]"
		}, []string{"192.0.2.1/32: 1883/TCP", "2001:db8::1/128: 1884/TCP", "fe80::1/128: 8883/TCP"}},
		"one address with two ports": {func(b *v1alpha1.MQTTBridge) {
			b.Spec.Remote.Primary.URL, b.Spec.Remote.Backups[0].URL = "mqtt://192.0.2.1:1884", "mqtt://192.0.2.1:1883"
		}, []string{": 1883/TCP", "192.0.2.1/32: 1883/TCP 1884/TCP"}},
		"a proxy instead of the servers of a side": {func(b *v1alpha1.MQTTBridge) {
			b.Spec.Local.Primary.URL, b.Spec.Remote.Proxy = "mqtt://192.0.2.1", proxy
		}, []string{": 3128/TCP", "192.0.2.1/32: 1883/TCP"}},
		"a proxy instead of one server": {func(b *v1alpha1.MQTTBridge) {
			b.Spec.Local.Primary.URL, b.Spec.Remote.Backups[0].Proxy = "mqtt://192.0.2.1", proxy
		}, []string{": 1883/TCP 3128/TCP", "192.0.2.1/32: 1883/TCP"}},
		"a receiver of traces": {func(b *v1alpha1.MQTTBridge) {
			b.Spec.Tracing = &v1alpha1.Tracing{Endpoint: "https://192.0.2.9/otlp"}
		}, []string{": 1883/TCP", "192.0.2.9/32: 443/TCP"}},
		"two runners": {func(b *v1alpha1.MQTTBridge) {
			b.Spec.Replicas = ptr.To[int32](2)
		}, []string{"pods " + metav1.FormatLabelSelector(metav1.SetAsLabelSelector(selectorLabels("plant"))) + ": 8091/TCP", ": 1883/TCP"}},
	} {
		b := newBridge("default", "plant")
		b.Spec.Runner = &v1alpha1.Runner{NetworkPolicy: &v1alpha1.NetworkPolicy{}}
		c.change(b)
		built, err := networkPolicy(b)
		if err != nil {
			t.Fatal(err)
		}
		policy, err := convert[networkingv1.NetworkPolicy](built)
		if err != nil {
			t.Fatal(err)
		}
		if got := connections(t, &policy.Spec); !slices.Equal(got, c.want) {
			t.Errorf("%s: the policy permits %q; want %q", name, got, c.want)
		}
		if types := policy.Spec.PolicyTypes; len(types) != 1 || types[0] != networkingv1.PolicyTypeEgress {
			t.Errorf("%s: the policy has the types %v; want only Egress, so that connections to the pods are not limited", name, types)
		}
	}
}

// awaitPolicies waits until the NetworkPolicies of the bridge together permit these connections. No
// connection means that there is no policy.
func awaitPolicies(t *testing.T, b *v1alpha1.MQTTBridge, what string, wanted ...string) {
	t.Helper()
	slices.Sort(wanted)
	apiserver.Eventually(t, what, func(ctx context.Context) (bool, error) {
		var policies networkingv1.NetworkPolicyList
		if err := server.Client.List(ctx, &policies, client.InNamespace(b.Namespace)); err != nil {
			return false, err
		}
		var permitted []string
		for i := range policies.Items {
			permitted = append(permitted, connections(t, &policies.Items[i].Spec)...)
		}
		slices.Sort(permitted)
		return slices.Equal(slices.Compact(permitted), wanted), nil
	})
}

func TestNetworkPolicy_SetChangedAndRemoved_IsAppliedAndPruned(t *testing.T) {
	b, pod := forwardingBridge(t)
	awaitPolicies(t, b, "no NetworkPolicy")
	b = update(t, b, func(b *v1alpha1.MQTTBridge) {
		b.Spec.Runner = &v1alpha1.Runner{NetworkPolicy: &v1alpha1.NetworkPolicy{}}
	})
	awaitPolicies(t, b, "the NetworkPolicy", ": 1883/TCP")
	var policies networkingv1.NetworkPolicyList
	if err := server.Client.List(t.Context(), &policies, client.InNamespace(b.Namespace)); err != nil {
		t.Fatal(err)
	}
	selector := policies.Items[0].Spec.PodSelector.MatchLabels
	if len(selector) == 0 || !labels.SelectorFromSet(selector).Matches(labels.Set(pod.Labels)) {
		t.Errorf("the policy selects %v, the labels of the pod are %v", selector, pod.Labels)
	}
	awaitIdle(t, b) // Fails if the operator keeps writing.
	b = update(t, b, func(b *v1alpha1.MQTTBridge) { b.Spec.Remote.Backups[0].URL = "mqtt://192.0.2.1:1884" })
	awaitPolicies(t, b, "the new server", ": 1883/TCP", "192.0.2.1/32: 1884/TCP")
	update(t, b, func(b *v1alpha1.MQTTBridge) { b.Spec.Runner = nil })
	awaitPolicies(t, b, "no NetworkPolicy any more")
}

// A runner learns of a change later than the operator, and may refuse it.
func TestNetworkPolicy_ServerReplaced_EarlierOneIsPermittedUntilTheRunnerHasLeftIt(t *testing.T) {
	b, pod := forwardingBridge(t)
	b = update(t, b, func(b *v1alpha1.MQTTBridge) {
		b.Spec.Runner = &v1alpha1.Runner{NetworkPolicy: &v1alpha1.NetworkPolicy{}}
		b.Spec.Remote.Backups[0].URL = "mqtt://192.0.2.1:188"
	})
	awaitPolicies(t, b, "the NetworkPolicy", ": 1883/TCP", "192.0.2.1/32: 188/TCP")
	applyReport(t, b, pod.Name, localUp(), remoteOnPrimary())
	awaitIdle(t, b)
	for range 2 { // The second change comes before the runner has applied the first one.
		b = update(t, b, func(b *v1alpha1.MQTTBridge) { b.Spec.Remote.Backups[0].URL += "0" })
		awaitIdle(t, b)
	}
	awaitPolicies(t, b, "the earlier servers and the new one", ": 1883/TCP", "192.0.2.1/32: 188/TCP", "192.0.2.1/32: 1880/TCP", "192.0.2.1/32: 18800/TCP")
	applyReport(t, b, pod.Name, localUp(), remoteOnPrimary())
	awaitPolicies(t, b, "only the new server", ": 1883/TCP", "192.0.2.1/32: 18800/TCP")
	awaitIdle(t, b)
}
