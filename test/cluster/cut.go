// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

const (
	// cutTable is the nftables table of all cuts.
	cutTable = "ip mqttbridge-cuts"
	// apiServicePort is the port of the Service of the API server, and apiServerPort is the port of
	// the local API server itself.
	apiServicePort, apiServerPort = 443, 6443
)

// A Cut makes the node of the local cluster drop packets without an answer.
type Cut []string // matches of nftables

// CutPod cuts a pod off from everything, as the loss of its node does.
func CutPod(pod *corev1.Pod) Cut {
	return Cut{"ip saddr " + pod.Status.PodIP, "ip daddr " + pod.Status.PodIP}
}

// CutAPIServer cuts a pod off from the API server only.
func CutAPIServer(pod *corev1.Pod) Cut {
	ports := fmt.Sprintf("{ %d, %d }", apiServicePort, apiServerPort)
	return Cut{"ip saddr " + pod.Status.PodIP + " tcp dport " + ports, "ip daddr " + pod.Status.PodIP + " tcp sport " + ports}
}

// CutMembers cuts the connections between the runners of a bridge.
func CutMembers(pods ...*corev1.Pod) Cut {
	c := make(Cut, 0, 2*len(pods))
	for _, pod := range pods {
		c = append(c,
			fmt.Sprintf("ip saddr %s tcp dport %d", pod.Status.PodIP, v1alpha1.PeerPort),
			fmt.Sprintf("ip saddr %s tcp sport %d", pod.Status.PodIP, v1alpha1.PeerPort))
	}
	return c
}

// Begin begins the cut, and ends an earlier one. It drops the packets before conntrack and kube-proxy see
// them, and ends no connection.
func (c Cut) Begin(ctx context.Context) error {
	var rules strings.Builder
	rules.WriteString(removeCut)
	fmt.Fprintf(&rules, "table %s {\n", cutTable)
	// Packets of pods pass prerouting, and packets of this machine pass output.
	for _, hook := range []string{"prerouting", "output"} {
		fmt.Fprintf(&rules, "chain %s {\ntype filter hook %s priority raw; policy accept;\n", hook, hook)
		for _, match := range c {
			fmt.Fprintf(&rules, "%s drop\n", match)
		}
		rules.WriteString("}\n")
	}
	rules.WriteString("}\n")
	return nft(ctx, rules.String())
}

// Heal ends the cut, if there is one.
func Heal(ctx context.Context) error { return nft(ctx, removeCut) }

// removeCut succeeds also if the table does not exist.
const removeCut = "table " + cutTable + "\ndelete table " + cutTable + "\n"

// nft applies rules in one transaction.
func nft(ctx context.Context, rules string) error {
	cmd := exec.CommandContext(ctx, "nft", "-f", "-")
	cmd.Stdin = strings.NewReader(rules)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("nft: %w: %s", err, stderr.String())
	}
	return nil
}
