// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/topic"
)

// route is a rule of a bridge as messages take it: from one group of servers to
// another.
type route struct {
	name     string
	rule     *Rule
	from, to int
	owner    int
	forward  bool     // from local to remote
	sentBack bool     // its bridge gets back the messages that it publishes
	next     []*route // the routes that may take what this one publishes
}

// Bounds of the search. Rules that someone writes need a small part of them; a search
// that reaches its end finds no loop, and the rules are accepted.
const (
	mostVisits = 100_000
	longestWay = 200
	// A topic that has grown beyond this many bytes within some steps grows on.
	longTopic   = 8192
	growsWithin = 8
)

// walk looks for a message that comes back to where it was: at the same route, with the
// same topic. A topic stands for many: a level that may be any is a variable, a character
// that no topic has. A route whose filter needs a text there binds it. So every topic is
// also one that a message can have, and goes the way that it stands for: the walk finds
// no loop that messages cannot take.
type walk struct {
	wanted  func(steps []step) bool
	visits  int
	visited map[string]bool // states that lead to no loop
	way     []step
	places  map[string]int // of the steps on the way
}

func findLoop(routes []*route, follows func(a, b *route) bool, wanted func(steps []step) bool) *Loop {
	routes = connect(routes, follows)
	w := &walk{wanted: wanted, visited: map[string]bool{}, places: map[string]int{}}
	for _, r := range routes {
		for _, start := range topicsOf(r, routes) {
			if w.take(r, start) {
				return &Loop{steps: w.way}
			}
		}
	}
	return nil
}

// connect finds the routes that may follow each other, and returns those that may be in
// a loop.
func connect(routes []*route, follows func(a, b *route) bool) []*route {
	for _, a := range routes {
		output := a.rule.Mapping.Output()
		for _, b := range routes {
			if a.to == b.from && follows(a, b) && output.Overlaps(b.rule.Filter) {
				a.next = append(a.next, b)
			}
		}
	}
	for {
		kept := slices.DeleteFunc(slices.Clone(routes), func(r *route) bool { return len(r.next) == 0 })
		if len(kept) == len(routes) {
			return routes
		}
		for _, r := range kept {
			r.next = slices.DeleteFunc(r.next, func(n *route) bool { return len(n.next) == 0 })
		}
		routes = kept
	}
}

// take follows a message that comes to a route with this topic. It reports whether there
// is a loop, which is then the way.
func (w *walk) take(r *route, in string) bool {
	if w.visits == mostVisits {
		return false
	}
	w.visits++
	if !r.rule.Filter.Match(in) || r.rule.Excludes(in) {
		return false
	}
	made, ok := r.rule.Mapping.Map(in)
	if !ok {
		return false
	}
	key := r.name + "\x00" + canonical(in)
	if from, ok := w.places[key]; ok {
		return w.found(w.way[from:])
	}
	if w.visited[key] {
		return false
	}
	w.way = append(w.way, step{r, in, made})
	if len(w.way) == longestWay || len(w.way) > growsWithin && len(made) > longTopic {
		// Nothing but a topic that grows comes this far.
		if len(made) > len(w.way[0].in) && w.found(w.way[len(w.way)-growsWithin:]) {
			return true
		}
		w.way = w.way[:len(w.way)-1]
		return false
	}
	w.places[key] = len(w.way) - 1
	for _, next := range r.next {
		if bound, ok := bind(next.rule.Filter, made); ok && w.take(next, bound) {
			return true
		}
	}
	delete(w.places, key)
	w.visited[key] = true
	w.way = w.way[:len(w.way)-1]
	return false
}

// found reports whether these steps are a loop that is looked for, and makes them the way.
func (w *walk) found(steps []step) bool {
	if !w.wanted(steps) {
		return false
	}
	w.way = steps
	return true
}

// Variables are characters of a private use area, which no one needs in a topic.
const (
	firstVariable = '\U000F0000'
	lastVariable  = '\U000FFFFD'
)

func isVariable(r rune) bool { return r >= firstVariable && r <= lastVariable }

// canonical numbers the variables of a topic in their order.
func canonical(name string) string {
	next := firstVariable
	numbers := map[rune]rune{}
	return strings.Map(func(r rune) rune {
		if !isVariable(r) {
			return r
		}
		if numbers[r] == 0 {
			numbers[r] = next
			next++
		}
		return numbers[r]
	}, name)
}

// topicsOf are the topics that a route takes, with a variable for each level that may be
// any: one for each number of levels that # may stand for and that could matter.
func topicsOf(r *route, routes []*route) []string {
	levels := r.rule.Filter.Levels()
	next := firstVariable
	for i, level := range levels {
		if level == "+" {
			levels[i] = string(next)
			next++
		}
	}
	if levels[len(levels)-1] != "#" {
		return []string{strings.Join(levels, "/")}
	}
	levels = levels[:len(levels)-1]
	var out []string
	for _, n := range append(depths(routes), len(levels)) { // that # stands for none is the least of examples
		if n < len(levels) || n == 0 || n == len(levels) && len(out) == 0 {
			continue
		}
		all := slices.Clone(levels)
		for v := next; len(all) < n; v++ {
			all = append(all, string(v))
		}
		out = append(out, strings.Join(all, "/"))
	}
	return out
}

// depths are the numbers of levels of topics that could matter, ascending: the numbers of
// levels of all filters, and some more.
func depths(routes []*route) []int {
	const more = 2
	var out []int
	add := func(f topic.Filter) {
		n := len(f.Levels())
		for d := max(1, n-1); d <= n+more; d++ {
			out = append(out, d)
		}
	}
	for _, r := range routes {
		add(r.rule.Filter)
		for _, x := range r.rule.Exclude {
			add(x)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// bind gives the variables of a topic the values with which a filter may match it. ok is
// false if there are none.
func bind(f topic.Filter, name string) (bound string, ok bool) {
	if strings.IndexFunc(name, isVariable) < 0 {
		return name, true
	}
	filter, levels := f.Levels(), strings.Split(name, "/")
	for i, level := range filter {
		if level == "#" {
			break
		}
		if i >= len(levels) {
			return "", false
		}
		if level == "+" || level == levels[i] {
			continue
		}
		values, ok := valuesOf(levels[i], level)
		if !ok {
			return "", false
		}
		for v, value := range values {
			name = strings.ReplaceAll(name, string(v), value)
		}
		levels = strings.Split(name, "/")
	}
	return name, true
}

// valuesOf are values of the variables of a level that make text of it: of several
// possible ones those that leave most to the last variable.
func valuesOf(level, text string) (map[rune]string, bool) {
	values := map[rune]string{}
	for at := strings.IndexFunc(level, isVariable); at >= 0; at = strings.IndexFunc(level, isVariable) {
		if !strings.HasPrefix(text, level[:at]) {
			return nil, false
		}
		v, size := utf8.DecodeRuneInString(level[at:])
		text, level = text[at:], level[at+size:]
		end := -1
		if next := strings.IndexFunc(level, isVariable); next >= 0 {
			end = strings.Index(text, level[:next])
		} else if strings.HasSuffix(text, level) {
			end = len(text) - len(level)
		}
		if end < 0 {
			return nil, false
		}
		if value, ok := values[v]; ok && value != text[:end] {
			return nil, false
		}
		values[v], text = text[:end], text[end:]
	}
	return values, level == text
}
