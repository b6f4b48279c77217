// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package page

import (
	"cmp"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/internal/count"
)

// maxRows is the largest number of bridges in the list. The others are found by their names.
const maxRows = 200

// row is a bridge in the list.
type row struct {
	*Bridge
	health   health
	problems []string
}

// listState returns the list of the bridges whose names contain a text, the bridges in trouble first.
func (h *Handler) listState(all []Bridge, filter string, now time.Time) (summary string, sections []node) {
	rows := make([]row, 0, len(all))
	numbers := map[health]int{}
	for i := range all {
		b := &all[i]
		how, problems := b.health()
		numbers[how]++
		if strings.Contains(strings.ToLower(b.title()), strings.ToLower(filter)) {
			rows = append(rows, row{b, how, problems})
		}
	}
	slices.SortFunc(rows, func(a, b row) int {
		return cmp.Or(cmp.Compare(a.health, b.health), cmp.Compare(a.key(), b.key()), cmp.Compare(a.File, b.File))
	})
	summary = summaryOfAll(len(all), numbers)
	head := el("section", txt("p", summary+".")).set("aria-label", "State")
	if group := h.groupSection(now); group != nil {
		sections = append(sections, group)
	}
	table := newTable("Bridges, those in trouble first", "Bridge", "State", "Local server", "Remote server", "Messages/s to remote", "Messages/s to local", "Waiting", "Problem")
	shown := rows[:min(len(rows), maxRows)]
	for i := range shown {
		h.listRow(table, &shown[i], now)
	}
	if len(shown) < len(all) {
		head.add(txt("p", fmt.Sprintf("%d of %s shown.", len(shown), count.Of(len(all), "bridge"))))
	}
	return summary, slices.Concat([]node{head}, sections, []node{el("section", table).set("aria-label", "Bridges")})
}

func summaryOfAll(total int, numbers map[health]int) string {
	parts := make([]string, 0, len(words))
	for how := notForwarding; how <= forwarding; how++ {
		if n := numbers[how]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, strings.ToLower(words[how])))
		}
	}
	bridges := count.Of(total, "bridge")
	if total == 0 {
		return bridges
	}
	return bridges + ": " + strings.Join(parts, "; ")
}

func (h *Handler) listRow(t *table, r *row, now time.Time) {
	problem := none
	if len(r.problems) > 0 {
		problem = r.problems[0]
	}
	if more := len(r.problems) - 1; more > 0 {
		problem += fmt.Sprintf(" (and %d more)", more)
	}
	if r.Status == nil {
		t.row("file/"+url.PathEscape(r.File), foreign(r.title()), badge(r.health), text(none), text(none), text(none), text(none), text(none), foreign(problem))
		return
	}
	var servers, speeds [2]node
	var waiting uint64
	for i, s := range r.sides() {
		servers[i] = text(none)
		if active := s.status.ActiveServer(); active != nil {
			servers[i] = foreign(active.Name)
		}
	}
	for i, d := range r.directions() {
		speeds[i] = text(h.rateOf(r.Bridge, d, now).perSecond())
		waiting += d.traffic.Backlog.Messages
	}
	link := el("a", foreign(r.title())).set("href", "bridges/"+url.PathEscape(r.Namespace)+"/"+url.PathEscape(r.Name))
	t.row("bridge/"+r.key(), link, badge(r.health), servers[0], servers[1], speeds[0], speeds[1], text(number(waiting)), foreign(problem))
}

// title names the bridge for users.
func (b *Bridge) title() string {
	switch {
	case b.Name == "":
		return b.File
	case b.Namespace == "":
		return b.Name
	}
	return b.key()
}
