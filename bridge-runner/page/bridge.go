// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package page

import (
	"fmt"
	"strings"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

// bridgeState returns the state of one bridge. summary names it in a few words.
func (h *Handler) bridgeState(b *Bridge, now time.Time) (summary string, sections []node) {
	how, problems := b.health()
	head := el("section", badge(how)).set("aria-label", "State")
	if b.Status != nil {
		head.add(el("p", foreign(b.ready().Message)))
	}
	if list := problemList(how, problems); list != nil {
		head.add(list)
	}
	if b.Status != nil && len(b.Status.Runners) > 0 {
		head.add(runnerLine(&b.Status.Runners[0], now))
	}
	sections = []node{head}
	if group := h.groupSection(now); group != nil {
		sections = append(sections, group)
	}
	if b.Status == nil {
		return words[how], sections
	}
	for _, s := range b.sides() {
		sections = append(sections, sideSection(s, now))
	}
	sections = append(sections, h.messagesSection(b, now), switchesSection(b, now))
	return summaryOf(how, b), sections
}

// runnerLine identifies the process and the manifest that it runs. The latter has no generation outside a
// cluster.
func runnerLine(r *v1alpha1.RunnerStatus, now time.Time) node {
	line := el("small", text("The runner "), foreign(r.Pod), text(" started at "), moment(r.StartTime.Time, now))
	if r.Generation > 0 {
		line.add(text(fmt.Sprintf(", with generation %d of the manifest", r.Generation)))
	}
	return el("p", line)
}

// summaryOf names the health and the servers in use. The page reads it to users of screen readers
// when it changes.
func summaryOf(how health, b *Bridge) string {
	summary := words[how]
	for _, s := range b.sides() {
		connected := "no server"
		if active := s.status.ActiveServer(); active != nil {
			connected = active.Name
		}
		summary += ". " + s.name + ": " + connected
	}
	return summary
}

// badge shows the health.
func badge(how health) *element { return txt("strong", words[how]).class("badge " + classes[how]) }

// problemList lists the problems. The first problem of a bridge that does not forward is the message of
// its condition, which the page shows already. It returns nil if there is nothing to list.
func problemList(how health, problems []string) node {
	if how == notForwarding && len(problems) > 0 {
		problems = problems[1:]
	}
	if len(problems) == 0 {
		return nil
	}
	list := el("ul")
	for _, p := range problems {
		list.add(el("li", foreign(p)))
	}
	return list
}

func sideSection(s side, now time.Time) node {
	section := el("section", txt("h2", s.name)).set("aria-label", s.name)
	if s.status == nil {
		return section.add(txt("p", "Its state is not known."))
	}
	if active := s.status.Active; active != nil {
		section.add(el("p", text("Connected to "), el("strong", foreign(active.Name)), text(", "+strings.ToLower(string(active.Role))+", since "), moment(active.Since.Time, now)))
	} else {
		section.add(txt("p", "No server is connected."))
	}
	servers := newTable("Servers in the order of preference", "Server", "Role", "State", "Since", "Latest failure")
	for i := range s.status.Servers {
		server := &s.status.Servers[i]
		failure := node(text(none))
		if e := server.LastError; e != nil {
			failure = el("span", txt("strong", e.Reason), text(": "), foreign(e.Message))
		}
		servers.row("", el("span", foreign(server.Name), text(" "), el("small", foreign(server.URL))),
			text(roleOf(i)), txt("span", string(server.State)).class("state "+stateClasses[server.State]), moment(server.Since.Time, now), failure)
	}
	section.add(servers)
	if r := s.status.RequestedSwitch; r != nil {
		section.add(el("p", text("Requested switch to "), foreign(r.Server), text(": "+string(r.State)+". "), foreign(r.Message)))
	}
	return section.add(el("p", el("small", text("Client identifier: "), foreign(s.status.ClientID))))
}

// roleOf returns the role of the server with an index.
func roleOf(i int) string {
	if i == 0 {
		return "Primary"
	}
	return fmt.Sprintf("Backup %d", i)
}

// stateClasses are the classes of the states of servers.
var stateClasses = map[v1alpha1.ServerState]string{v1alpha1.ServerActive: "good", v1alpha1.ServerStandby: "idle", v1alpha1.ServerFailed: "bad"}

// messagesSection shows rates, counts and backlogs. It shows no topic and no payload.
func (h *Handler) messagesSection(b *Bridge, now time.Time) node {
	flow := newTable("Rates and counts since the start of the runner", "Direction", "Messages/s", "Payload", "Forwarded", "Sent again", "Dropped", "In flight")
	backlogs := newTable("Messages that wait in the buffer", "Direction", "Messages", "Size", "Oldest", "Limit in memory", "Limit on disk", "Disk")
	section := el("section", txt("h2", "Messages")).set("aria-label", "Messages")
	notes := el("ul")
	for _, d := range b.directions() {
		t, r := d.traffic, h.rateOf(b, d, now)
		flow.row("", text(d.label), text(r.perSecond()), text(r.bytesPerSecond()), text(number(t.Forwarded)), text(number(t.Resent)), text(number(t.Dropped)), text(number(t.InFlight)))
		oldest := none
		if !t.Backlog.Oldest.IsZero() {
			oldest = age(now.Sub(t.Backlog.Oldest))
		}
		limit, disk := none, none
		if t.DiskBytes > 0 {
			limit = size(float64(t.DiskBytes))
		}
		if d.backlog != nil {
			disk = string(d.backlog.State)
		}
		backlogs.row("", text(d.label), text(number(t.Backlog.Messages)), text(size(float64(t.Backlog.Bytes))), text(oldest), text(size(float64(t.MemoryBytes))), text(limit), text(disk))
		notes.add(directionNotes(d, now)...)
	}
	section.add(flow, backlogs)
	if len(notes.children) > 0 {
		section.add(notes)
	}
	return section
}

// directionNotes describes the problems of a direction. The message about an unforwardable message may
// contain its topic, so that it is not shown.
func directionNotes(d direction, now time.Time) (notes []node) {
	if d.backlog != nil && d.backlog.Message != "" {
		notes = append(notes, el("li", text("Buffer on disk from "+d.label+": "), foreign(d.backlog.Message)))
	}
	if u := d.unforwardable; u != nil {
		notes = append(notes, el("li", text("From "+d.label+": the latest message that no server accepts, with the reason "+u.Reason+", at "), moment(u.Time.Time, now)))
	}
	return notes
}

// rateOf returns the rate of a direction.
func (h *Handler) rateOf(b *Bridge, d direction, now time.Time) rate {
	return h.rates.of(b.key()+" "+d.id, reading{now, d.traffic.Forwarded, d.traffic.Bytes})
}

// switchesSection shows the last switches of the sides, and the last changes of the active runner.
func switchesSection(b *Bridge, now time.Time) node {
	section := el("section", txt("h2", "Last switches")).set("aria-label", "Last switches")
	if len(b.Switches) == 0 {
		return section.add(txt("p", "There was no switch since the runner started."))
	}
	t := newTable("The latest first. The gap is the time in which no server accepted messages", "Time", "Side", "From", "To", "Reason", "Gap", "Silent before")
	for i := range b.Switches {
		s := &b.Switches[i]
		t.row("", moment(s.Time.Time, now), text(s.Side), foreign(s.From), foreign(s.To), text(s.Reason), text(gapOf(s.DurationMilliseconds)), text(milliseconds(s.SilentMilliseconds)))
	}
	return section.add(t)
}
