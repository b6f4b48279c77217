// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/page"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/report"
)

// onePage returns the page of a process that runs one bridge, whose goroutines have not started yet.
func onePage(i *instance, g *group) *page.Handler {
	namespace, name := i.running.manifest.Namespace, i.running.manifest.Name
	return page.New(&page.Source{
		One:   func() page.Bridge { return i.pageBridge(namespace, name) },
		Group: g.pageGroup(),
	})
}

// page returns the page of a process that runs many bridges.
func (h *host) page() *page.Handler {
	return page.New(&page.Source{Many: h.pageBridges, Find: h.pageBridge, Group: h.group.pageGroup()})
}

func (h *host) pageBridges() []page.Bridge {
	files := h.snapshot()
	out := make([]page.Bridge, 0, len(files))
	for i := range files {
		out = append(out, files[i].pageBridge())
	}
	return out
}

func (h *host) pageBridge(namespace, name string) (page.Bridge, bool) {
	f, ok := h.fileOf(namespace, name)
	if !ok {
		return page.Bridge{}, false
	}
	return f.pageBridge(), true
}

func (f *file) pageBridge() page.Bridge {
	var out page.Bridge
	if b := f.bridge; b != nil {
		out = b.pageBridge(b.key.Namespace, b.key.Name)
	}
	out.File, out.Error = f.name, f.refusal()
	return out
}

func (i *instance) pageBridge(namespace, name string) page.Bridge {
	status := i.state.Status()
	return page.Bridge{
		Namespace: namespace, Name: name, Status: &status,
		LocalToRemote: i.metrics.Traffic(report.LocalToRemote), RemoteToLocal: i.metrics.Traffic(report.RemoteToLocal),
		Switches: i.state.Switches(),
	}
}

// maxTakeovers is the number of takeovers that a process keeps for the page.
const maxTakeovers = 10

// takeover is an activation in which this process has replaced another active one.
type takeover struct {
	*activation
	// at is when a bridge forwarded for the first time, and gap the longest gap of a bridge.
	at  time.Time
	gap time.Duration
}

// rememberTakeover records that a bridge forwards for the first time in an activation.
func (g *group) rememberTakeover(a *activation, gap time.Duration) {
	if !a.Cause.Takeover() {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if last := len(g.takeovers) - 1; last >= 0 && g.takeovers[last].activation == a {
		g.takeovers[last].gap = max(g.takeovers[last].gap, gap)
		return
	}
	if len(g.takeovers) == maxTakeovers {
		g.takeovers = slices.Delete(g.takeovers, 0, 1)
	}
	g.takeovers = append(g.takeovers, takeover{a, time.Now(), gap})
}

// pageGroup returns the function that returns the state of the group for the page. It is nil if there is
// no group.
func (g *group) pageGroup() func() page.Group {
	if g == nil {
		return nil
	}
	return func() page.Group {
		s := g.member.Status()
		out := page.Group{State: string(s.State), Since: s.Since, Warm: s.Warm, Problem: s.Problem}
		for _, m := range s.Members {
			out.Others = append(out.Others, page.Runner{Name: m.Pod, State: string(m.State), Warm: m.Warm})
		}
		if len(s.Members) == 0 && s.Peer.Address != "" {
			out.Others = append(out.Others, page.Runner{Name: s.Peer.Address, State: string(s.Peer.State), Problem: s.Peer.Problem})
		}
		out.Takeovers = g.recordedTakeovers()
		return out
	}
}

// recordedTakeovers returns the recorded takeovers, the latest first.
func (g *group) recordedTakeovers() []v1alpha1.TakeoverRecord {
	g.mu.Lock()
	defer g.mu.Unlock()
	out := make([]v1alpha1.TakeoverRecord, 0, len(g.takeovers))
	for _, t := range slices.Backward(g.takeovers) {
		gap := t.gap.Milliseconds()
		out = append(out, v1alpha1.TakeoverRecord{From: t.From, Reason: string(t.Cause), Time: metav1.NewMicroTime(t.at), GapMilliseconds: &gap})
	}
	return out
}
