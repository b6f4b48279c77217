// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/member"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/peer"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/report"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/role"
)

// errNoPod is the error of a member that does not know its pod.
var errNoPod = errors.New("--group requires the environment variables POD_NAME and POD_IP with the name and the IP address of the pod; the operator sets them")

// config returns the settings of a member. Its key pair is in memory only.
func (o *groupOptions) config(namespace string) (*member.Config, error) {
	cluster, err := clusterConfig()
	if err != nil {
		return nil, err
	}
	pod, ip := os.Getenv("POD_NAME"), os.Getenv("POD_IP")
	if pod == "" || ip == "" {
		return nil, errNoPod
	}
	address, err := o.address(ip)
	if err != nil {
		return nil, err
	}
	certificate, err := peer.NewCertificate()
	if err != nil {
		return nil, err
	}
	return &member.Config{Certificate: certificate, Lease: &member.LeaseConfig{
		Cluster: cluster, Namespace: namespace, Name: o.name, Duration: o.duration,
		Pod: pod, Node: os.Getenv("NODE_NAME"), Address: address,
	}}, nil
}

// address returns the address at which other members reach the port of --group-listen.
func (o *groupOptions) address(ip string) (netip.AddrPort, error) {
	host, err := netip.ParseAddr(ip)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("the environment variable POD_IP: %w", err)
	}
	_, portText, err := net.SplitHostPort(o.listen)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("--group-listen: %w; write host:port", err)
	}
	port, err := strconv.ParseUint(portText, 10, 16)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("--group-listen: the port %q: %w", portText, err)
	}
	return netip.AddrPortFrom(host, uint16(port)), nil
}

// reportTo makes the group report its state in the status of its bridge. It is called before the process
// becomes a member. It returns the function that receives the term of a refused report, see
// [report.Kubernetes.LaterTerm].
func (g *group) reportTo(st *report.State) (laterTerm func(int64)) {
	st.SetGroup(report.Group{})
	g.state = st
	return g.member.PassTerm
}

// statusChanged receives the status of the member when it has changed.
func (g *group) statusChanged(s member.Status) {
	g.metrics.SetState(s.State == activeState, s.Warm, s.Peer.Connected)
	if g.state == nil {
		return
	}
	out := report.Group{Term: int64(s.Term), Ended: s.Released} //nolint:gosec // terms count takeovers
	for _, m := range s.Members {
		if m.State == activeState || m.State == role.HandingOver {
			continue // it ends, or this member does
		}
		out.Standbys = append(out.Standbys, v1alpha1.RunnerStatus{
			Pod: m.Pod, Role: v1alpha1.RunnerStandby, Since: metav1.NewTime(m.Since), Warm: ptr.To(m.Warm), Node: m.Node,
		})
	}
	g.state.SetGroup(out)
}

// reportTakeover reports that a bridge forwards after a takeover.
func (g *group) reportTakeover(a *activation, gap time.Duration) {
	if g.state == nil || !a.Cause.Takeover() {
		return
	}
	g.state.SetTakeover(&v1alpha1.TakeoverRecord{
		From: a.From, Reason: string(a.Cause), Time: metav1.NewMicroTime(time.Now()), GapMilliseconds: ptr.To(gap.Milliseconds()),
	})
}
