// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/topic"
)

// route is a rule of a bridge, as an edge from one group of servers to another.
type route struct {
	name     string // for messages, such as localToRemote[0]
	rule     *Rule
	from, to int      // server groups
	owner    int      // the number of the bridge
	forward  bool     // whether the route leads from local to remote
	sentBack bool     // whether the servers send the bridge's own messages back to it
	hidden   bool     // whether the bridge is in another namespace, so that no message may describe the rule
	next     []*route // the routes that may forward the messages that this route publishes
}

// The limits of the search. Hand-written rules need a small part of them. A search that
// reaches a limit finds no loop, and the rules are accepted.
const (
	// maxRoutes, maxPairs and maxLinks bound the time and the memory for many bridges between the same
	// servers, each with many rules: the rules, the pairs of rules that are compared, and the pairs in
	// which one rule may receive the messages of the other.
	maxRoutes  = 10_000
	maxPairs   = 4_000_000
	maxLinks   = 200_000
	maxVisits  = 100_000 // visits of all paths together
	maxPathLen = 200     // steps
	// A topic that has grown beyond longTopic bytes after more than growthSteps steps grows
	// without end.
	longTopic   = 8192
	growthSteps = 8
)

// search looks for a message that comes back to the same route with the same topic. A topic
// in the search stands for many topics: a variable, which is a character that occurs in no
// topic, stands for any level. If the filter of the next route needs a certain text in its
// place, the search binds the variable to the text. So each topic in the search is also the
// topic of a possible message, and the search finds only loops that messages can go through.
type search struct {
	accept  func(steps []step) bool // whether a loop is wanted
	visits  int                     // at most maxVisits
	visited map[string]bool         // the pairs of route and topic that lead to no loop
	path    []step                  // the steps to the current route; in the end the loop
	onPath  map[string]int          // the index in path of each pair of route and topic
}

// findLoop returns a loop that accept accepts, and nil if there is none. follows reports
// whether route b can receive the messages that route a publishes.
func findLoop(routes []*route, follows func(a, b *route) bool, accept func(steps []step) bool) *Loop {
	routes = connect(routes, follows)
	s := &search{accept: accept, visited: map[string]bool{}, onPath: map[string]int{}}
	for _, r := range routes {
		for _, start := range topicsOf(r, routes) {
			if s.visit(r, start) {
				return &Loop{steps: s.path}
			}
		}
	}
	return nil
}

// connect sets the routes that may follow each route, and returns the routes that may be
// part of a loop. It returns none if there are too many of them.
func connect(routes []*route, follows func(a, b *route) bool) []*route {
	bySource := map[int][]*route{}
	for _, r := range routes {
		bySource[r.from] = append(bySource[r.from], r)
	}
	pairs, links := 0, 0
	for _, a := range routes {
		output := a.rule.Mapping.Output()
		if pairs += len(bySource[a.to]); pairs > maxPairs {
			return nil
		}
		for _, b := range bySource[a.to] {
			if !follows(a, b) || !output.Overlaps(b.rule.Filter) {
				continue
			}
			links++
			if links > maxLinks {
				return nil
			}
			a.next = append(a.next, b)
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

// visit follows a message with topic in that arrives at route r. It reports whether it has
// found a loop; path is then the loop.
func (s *search) visit(r *route, in string) bool {
	if s.visits == maxVisits {
		return false
	}
	s.visits++
	if !r.rule.Filter.Match(in) || r.rule.Excludes(in) {
		return false
	}
	out, ok := r.rule.Mapping.Map(in)
	if !ok {
		return false
	}
	key := r.name + "\x00" + canonical(in)
	if start, ok := s.onPath[key]; ok {
		return s.acceptLoop(s.path[start:])
	}
	if s.visited[key] {
		return false
	}
	s.path = append(s.path, step{r, in, out})
	if len(s.path) == maxPathLen || len(s.path) > growthSteps && len(out) > longTopic {
		// Only a topic that grows without end gets here.
		if len(out) > len(s.path[0].in) && s.acceptLoop(s.path[len(s.path)-growthSteps:]) {
			return true
		}
		s.path = s.path[:len(s.path)-1]
		return false
	}
	s.onPath[key] = len(s.path) - 1
	for _, next := range r.next {
		if bound, ok := bind(next.rule.Filter, out); ok && s.visit(next, bound) {
			return true
		}
	}
	delete(s.onPath, key)
	s.visited[key] = true
	s.path = s.path[:len(s.path)-1]
	return false
}

// acceptLoop reports whether the steps are a wanted loop. If they are, it sets path to them.
func (s *search) acceptLoop(steps []step) bool {
	if !s.accept(steps) {
		return false
	}
	s.path = steps
	return true
}

// Variables are characters of a private use area, which topics do not contain in practice.
const (
	firstVariable = '\U000F0000'
	lastVariable  = '\U000FFFFD'
)

func isVariable(r rune) bool { return r >= firstVariable && r <= lastVariable }

// canonical renumbers the variables of a topic in the order of their appearance.
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

// topicsOf returns the topics at which the search starts for a route, with a variable for
// each level that a wildcard matches. For # it returns a topic for each number of levels that
// may make a difference.
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
	for _, n := range append(depths(routes), len(levels)) { // the topic in which # matches no level comes last: it is the worst example
		if n < len(levels) || n == 0 || n == len(levels) && len(out) == 0 {
			continue
		}
		topicLevels := slices.Clone(levels)
		for v := next; len(topicLevels) < n; v++ {
			topicLevels = append(topicLevels, string(v))
		}
		out = append(out, strings.Join(topicLevels, "/"))
	}
	return out
}

// depths returns the numbers of levels at which topics may behave differently, in ascending
// order: for each filter, from one level less than it has to extraLevels more.
func depths(routes []*route) []int {
	const extraLevels = 2
	var out []int
	add := func(f topic.Filter) {
		n := len(f.Levels())
		for d := max(1, n-1); d <= n+extraLevels; d++ {
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

// bind replaces the variables of a topic with values with which a filter may match the topic.
// ok is false if there are no such values.
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

// valuesOf returns values for the variables of a level that make the level equal to text. If
// several solutions are possible, it returns the one with the longest value for the last
// variable. The second result is false if there is none.
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
