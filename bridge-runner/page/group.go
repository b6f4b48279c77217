// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package page

import (
	"strings"
	"time"
)

// groupSection shows which runner of the group is active. It returns nil if the process is no member of a
// group.
func (h *Handler) groupSection(now time.Time) node {
	if h.source.Group == nil {
		return nil
	}
	g := h.source.Group()
	state := g.State
	if g.Warm && state == "Standby" {
		state += ", warm"
	}
	section := el("section", txt("h2", "Runners")).set("aria-label", "Runners")
	runners := newTable("The runners that serve the same bridges", "Runner", "State", "Since")
	runners.row("", text("this runner"), text(state), moment(g.Since, now))
	for _, r := range g.Others {
		state := r.State
		if r.Warm && state == "Standby" {
			state += ", warm"
		}
		if state == "" {
			state = strings.TrimSuffix("not connected: "+r.Problem, ": ")
		}
		runners.row("", foreign(r.Name), foreign(state), text(none))
	}
	section.add(runners)
	if g.Problem != "" {
		section.add(el("p", foreign(g.Problem)))
	}
	if len(g.Takeovers) == 0 {
		return section
	}
	changes := newTable("When this runner became active, the latest first. The gap is the time in which no runner forwarded", "Time", "From", "Reason", "Gap")
	for i := range g.Takeovers {
		t := &g.Takeovers[i]
		from := node(text("the other runner"))
		if t.From != "" {
			from = foreign(t.From)
		}
		changes.row("", moment(t.Time.Time, now), from, text(t.Reason), text(gapOf(t.GapMilliseconds)))
	}
	return section.add(changes)
}
