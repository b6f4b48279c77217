// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"cmp"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	networkingv1ac "k8s.io/client-go/applyconfigurations/networking/v1"
	"k8s.io/utils/ptr"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/internal/manifest"
)

const networkPolicyKind = "NetworkPolicy"

var (
	// dnsPorts are the ports of DNS. A NetworkPolicy applies to the port of the pod behind a
	// Service: the DNS pods of OpenShift listen on 5353.
	dnsPorts = []int32{53, 5353}
	// apiServerPorts are the usual ports of the API server: of its Service and of its own.
	apiServerPorts = []int32{443, 6443}
)

// networkPolicy returns the NetworkPolicy of the bridge, or nil if the bridge wants none. It has
// no rules for connections to the pods, which therefore are not limited.
//
// Its name contains the hash of its rules, so that a changed policy is another object: NetworkPolicies
// add up, and the earlier one stays until no runner needs it (awaitsChange).
func networkPolicy(b *v1alpha1.MQTTBridge) (*networkingv1ac.NetworkPolicyApplyConfiguration, error) {
	if b.Spec.Runner == nil || b.Spec.Runner.NetworkPolicy == nil {
		return nil, nil
	}
	wanted := b.Spec.Runner.NetworkPolicy
	pods := metav1.LabelSelector{MatchLabels: selectorLabels(b.Name)}
	egress := []networkingv1.NetworkPolicyEgressRule{
		{Ports: ports(dnsPorts, corev1.ProtocolUDP, corev1.ProtocolTCP)},
		{Ports: ports(apiServerPorts, corev1.ProtocolTCP)},
	}
	if b.Spec.HasStandby() {
		egress = append(egress, networkingv1.NetworkPolicyEgressRule{
			To:    []networkingv1.NetworkPolicyPeer{{PodSelector: &pods}},
			Ports: ports([]int32{v1alpha1.PeerPort}, corev1.ProtocolTCP),
		})
	}
	addresses, err := destinations(&b.Spec)
	if err != nil {
		return nil, err
	}
	egress = append(egress, destinationRules(addresses, wanted.ServersTo)...)
	for i := range wanted.ExtraEgress {
		rule := wanted.ExtraEgress[i].DeepCopy()
		for j := range rule.Ports {
			// The API server would set this default, so that the rule would differ from the applied one.
			rule.Ports[j].Protocol = cmp.Or(rule.Ports[j].Protocol, ptr.To(corev1.ProtocolTCP))
		}
		egress = append(egress, *rule)
	}
	rules := networkingv1.NetworkPolicySpec{
		PodSelector: pods,
		PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeEgress},
		Egress:      egress,
	}
	hash, err := hashOf(&rules)
	if err != nil {
		return nil, err
	}
	spec, err := convert[networkingv1ac.NetworkPolicySpecApplyConfiguration](rules)
	if err != nil {
		return nil, err
	}
	return networkingv1ac.NetworkPolicy(childName(b.Name)+"-"+hash, b.Namespace).
		WithLabels(childLabels(b.Name)).
		WithOwnerReferences(ownerReference(b)).
		WithSpec(spec), nil
}

// hasNetworkPolicy reports whether the bridge wants a NetworkPolicy.
func (p *plan) hasNetworkPolicy() bool {
	return slices.ContainsFunc(p.children, func(c plannedChild) bool { return c.kind == networkPolicyKind })
}

// awaitsChange reports whether a runner has not applied the present spec, and may therefore be connected
// to a server that only an earlier NetworkPolicy permits. A runner that refuses the spec never applies it.
func awaitsChange(b *v1alpha1.MQTTBridge) bool {
	return slices.ContainsFunc(b.Status.Runners, func(r v1alpha1.RunnerStatus) bool { return r.Generation < b.Generation })
}

// destination is an address that a runner connects to.
type destination struct {
	host string
	port int32
}

// destinations returns the addresses of the spec: of the servers, or of their proxies, and of the
// receiver of traces.
func destinations(spec *v1alpha1.MQTTBridgeSpec) ([]destination, error) {
	var out []destination
	add := func(field, hostPort string) error {
		host, text, err := net.SplitHostPort(hostPort)
		if err != nil {
			return fmt.Errorf("the address of %s: %w", field, err)
		}
		port, err := strconv.ParseUint(text, 10, 16)
		if err != nil {
			return fmt.Errorf("the port of %s: %w", field, err)
		}
		host, _, _ = strings.Cut(host, "%") // the zone of an IPv6 address
		out = append(out, destination{host, int32(port)})
		return nil
	}
	for _, side := range []*v1alpha1.Side{&spec.Local, &spec.Remote} {
		for _, server := range side.Servers() {
			if proxy := cmp.Or(server.Proxy, side.Proxy); proxy != nil {
				u, err := manifest.ParseProxyURL(proxy.URL)
				if err != nil {
					return nil, err
				}
				if err := add("the proxy "+v1alpha1.PublicURL(proxy.URL), u.Host); err != nil {
					return nil, err
				}
				continue
			}
			address, err := manifest.ParseURL(server.URL)
			if err != nil {
				return nil, err
			}
			if err := add("the server "+v1alpha1.PublicURL(server.URL), address.HostPort); err != nil {
				return nil, err
			}
		}
	}
	if spec.Tracing != nil && spec.Tracing.Endpoint != "" {
		u, err := url.Parse(spec.Tracing.Endpoint)
		if err != nil {
			return nil, fmt.Errorf("tracing.endpoint: %w", err)
		}
		port := cmp.Or(u.Port(), map[string]string{"http": "80", "https": "443"}[u.Scheme])
		if err := add("tracing.endpoint", net.JoinHostPort(u.Hostname(), port)); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// destinationRules returns a rule for each IP address, and one rule for all host names, which a
// NetworkPolicy cannot contain: their ports at the peers.
func destinationRules(all []destination, peers []networkingv1.NetworkPolicyPeer) []networkingv1.NetworkPolicyEgressRule {
	portsOf := map[netip.Addr][]int32{}
	var addresses []netip.Addr
	var named []int32
	for _, d := range all {
		address, err := netip.ParseAddr(d.host)
		if err != nil {
			named = append(named, d.port)
			continue
		}
		if portsOf[address] == nil {
			addresses = append(addresses, address)
		}
		portsOf[address] = append(portsOf[address], d.port)
	}
	var out []networkingv1.NetworkPolicyEgressRule
	if len(named) > 0 {
		out = append(out, networkingv1.NetworkPolicyEgressRule{To: peers, Ports: ports(sortedOnce(named), corev1.ProtocolTCP)})
	}
	for _, address := range addresses {
		block := &networkingv1.IPBlock{CIDR: netip.PrefixFrom(address, address.BitLen()).String()}
		out = append(out, networkingv1.NetworkPolicyEgressRule{
			To:    []networkingv1.NetworkPolicyPeer{{IPBlock: block}},
			Ports: ports(sortedOnce(portsOf[address]), corev1.ProtocolTCP),
		})
	}
	return out
}

// sortedOnce returns the numbers in order, each once.
func sortedOnce(numbers []int32) []int32 {
	slices.Sort(numbers)
	return slices.Compact(numbers)
}

func ports(numbers []int32, protocols ...corev1.Protocol) []networkingv1.NetworkPolicyPort {
	out := make([]networkingv1.NetworkPolicyPort, 0, len(numbers)*len(protocols))
	for _, number := range numbers {
		for _, protocol := range protocols {
			out = append(out, networkingv1.NetworkPolicyPort{Port: ptr.To(intstr.FromInt32(number)), Protocol: ptr.To(protocol)})
		}
	}
	return out
}
