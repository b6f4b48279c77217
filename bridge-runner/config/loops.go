// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/ptr"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

// Loop is a way by which a message comes back to the topic that it started with: one
// rule publishes it where the next one takes it.
type Loop struct {
	steps []step
}

// step is a message that a rule takes, and the topic that the rule makes of its topic.
type step struct {
	rule     *route
	in, made string
}

// longestLoop is how many steps of a loop are named.
const longestLoop = 6

// String names the rules of a loop, and the topics of a message that goes round.
func (l *Loop) String() string {
	names := placeholders(l.steps[0].in)
	var b strings.Builder
	for i, s := range l.steps {
		if i == longestLoop {
			fmt.Fprintf(&b, ", and so on by %d more rules", len(l.steps)-longestLoop)
			break
		}
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%s (filter %q) sends %q as %q", s.rule.name, shorten(s.rule.rule.Filter.String()), shorten(names.Replace(s.in)), shorten(names.Replace(s.made)))
	}
	return b.String()
}

func shorten(s string) string {
	const most = 60
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "..."
}

// placeholders gives names to the levels of a topic that may be any.
func placeholders(topic string) *strings.Replacer {
	var pairs []string
	for _, r := range topic {
		if isVariable(r) {
			pairs = append(pairs, string(r), fmt.Sprintf("x%d", 1+len(pairs)/2))
		}
	}
	return strings.NewReplacer(pairs...)
}

// FindLoop returns a loop that the rules of a spec that [Validate] has accepted make if
// the servers of both sides send back to the bridge the messages that it publishes, and
// nil if there is none. Servers do not send them back with MQTT 5 (No Local), and with
// MQTT 3.1.1 if they know bridges. delivery.maxHops ends every loop.
func FindLoop(s *v1alpha1.MQTTBridgeSpec) *Loop {
	if s.Delivery != nil && s.Delivery.MaxHops != nil {
		return nil
	}
	forwards, subscriptions, err := Directions(s)
	if err != nil {
		return nil // said by validateRules
	}
	const local, remote = 0, 1
	var routes []*route
	for i := range forwards {
		routes = append(routes, &route{name: fmt.Sprintf("forwards[%d]", i), rule: &forwards[i], from: local, to: remote})
	}
	for i := range subscriptions {
		routes = append(routes, &route{name: fmt.Sprintf("subscriptions[%d]", i), rule: &subscriptions[i], from: remote, to: local})
	}
	return findLoop(routes, func(*route, *route) bool { return true }, func([]step) bool { return true })
}

// LoopThrough returns a loop that a message can take through the bridge and others that
// connect the same servers, and nil if there is none. All have passed [Validate]. That a
// server does not send back what a bridge publishes is of no help there: another bridge
// takes it. So does the bridge itself if both of its sides have a server in common.
func LoopThrough(b *v1alpha1.MQTTBridge, others []*v1alpha1.MQTTBridge) *Loop {
	var routes []*route
	servers := groups{}
	for owner, x := range append([]*v1alpha1.MQTTBridge{b}, others...) {
		forwards, subscriptions, err := Directions(&x.Spec)
		if err != nil || x.Spec.Delivery != nil && x.Spec.Delivery.MaxHops != nil {
			continue // a bridge with maxHops ends a loop
		}
		local, remote := servers.add(&x.Spec.Local, x.Namespace), servers.add(&x.Spec.Remote, x.Namespace)
		name := func(kind string, i int) string {
			return fmt.Sprintf("%s[%d] of %s/%s", kind, i, x.Namespace, x.Name)
		}
		for i := range forwards {
			routes = append(routes, &route{name: name("forwards", i), rule: &forwards[i], from: local, to: remote, owner: owner, forward: true, sentBack: sendsBack(&x.Spec.Remote)})
		}
		for i := range subscriptions {
			routes = append(routes, &route{name: name("subscriptions", i), rule: &subscriptions[i], from: remote, to: local, owner: owner, sentBack: sendsBack(&x.Spec.Local)})
		}
	}
	for _, r := range routes {
		r.from, r.to = servers.find(r.from), servers.find(r.to)
	}
	// A bridge has one client for each side.
	reaches := func(a, b *route) bool { return a.owner != b.owner || a.forward == b.forward || a.sentBack }
	return findLoop(routes, reaches, func(steps []step) bool {
		return slices.ContainsFunc(steps, func(s step) bool { return s.rule.owner == 0 })
	})
}

// groups are sides that have a server in common, directly or by other sides. Each is
// known by a number.
type groups struct {
	of      map[string]int // by URL
	parents []int
}

func (g *groups) find(n int) int {
	for g.parents[n] != n {
		n = g.parents[n]
	}
	return n
}

func (g *groups) add(s *v1alpha1.Side, namespace string) int {
	if g.of == nil {
		g.of = map[string]int{}
	}
	n := len(g.parents)
	g.parents = append(g.parents, n)
	for _, address := range Addresses(s, namespace) {
		if other, ok := g.of[address]; ok {
			g.parents[g.find(other)] = g.find(n)
		}
		g.of[address] = n
	}
	return n
}

// Addresses are the servers of a side, as they are reached from a namespace. Two sides
// with an address in common have a server in common.
func Addresses(s *v1alpha1.Side, namespace string) []string {
	servers := s.Servers()
	out := make([]string, 0, len(servers))
	for _, server := range servers {
		out = append(out, addressOf(server.URL, namespace))
	}
	return out
}

// addressOf is a server's host and port, and its path if it has one: the same for all
// names that a Service has within the cluster, and for all ways to write an IP address.
func addressOf(url, namespace string) string {
	a, err := ParseURL(url)
	if err != nil {
		return url
	}
	host := strings.ToLower(a.Host)
	host = strings.TrimSuffix(strings.TrimSuffix(host, ".cluster.local"), ".svc")
	ip, err := netip.ParseAddr(host)
	switch {
	case err == nil:
		host = ip.Unmap().String()
	case host == "localhost":
		host = "127.0.0.1"
	case !strings.Contains(host, "."):
		host += "." + namespace
	}
	path, _, _ := strings.Cut(a.Path, "?")
	return host + a.HostPort[strings.LastIndex(a.HostPort, ":"):] + strings.TrimRight(path, "/")
}

// sendsBack reports whether the servers of a side send the bridge's own messages back:
// Auto asks them not to, and a session with one that does not know how is refused.
func sendsBack(s *v1alpha1.Side) bool {
	return ptr.Deref(s.ProtocolVersion, v1alpha1.ProtocolVersion311) != v1alpha1.ProtocolVersion5 &&
		ptr.Deref(s.BridgeMode, v1alpha1.BridgeModeAuto) == v1alpha1.BridgeModeOff
}

const loopRemedy = "set protocolVersion: '5' or bridgeMode: Auto on that side, with which the servers do not send them back, or change a filter or topic, or exclude the other's topics in one of them"

// validateLoops refuses rules by which a message goes round: by a forward to the remote
// side, back by a subscription, and so on, through as many rules as it takes.
func validateLoops(s *v1alpha1.MQTTBridgeSpec, path *field.Path) field.ErrorList {
	var off []string
	for _, side := range []struct {
		name string
		side *v1alpha1.Side
	}{{"local", &s.Local}, {"remote", &s.Remote}} {
		if sendsBack(side.side) {
			off = append(off, side.name)
		}
	}
	if len(off) == 0 {
		return nil
	}
	for i := range s.Subscriptions {
		for j := range s.Forwards {
			if equal(&s.Forwards[j], &s.Subscriptions[i]) { // as the schema says it
				return field.ErrorList{field.Invalid(path.Child("subscriptions"), s.Subscriptions[i].Filter, "a subscription and a forward have the same filter and both keep the topic, so every message would go round in a loop, because a side with MQTT 3.1.1 and bridgeMode: Off gets the bridge's own messages back; set protocolVersion: '5' or bridgeMode: Auto on that side, or give one of the rules a topic that the other's filter does not match")}
			}
		}
	}
	loop := FindLoop(s)
	if loop == nil {
		return nil
	}
	return field.ErrorList{field.Invalid(path.Child("subscriptions"), shorten(loop.steps[0].rule.rule.Filter.String()), fmt.Sprintf(
		"messages would go round in a loop: %s, because the servers of %s send the bridge's own messages back, with MQTT 3.1.1 and bridgeMode: Off; %s", loop, strings.Join(off, " and "), loopRemedy))}
}

// validateSameServer refuses rules by which a message goes round because a server of the
// local side, by another URL, is one of the remote side, too. The schema compares URLs.
func validateSameServer(b *v1alpha1.MQTTBridge, path *field.Path) field.ErrorList {
	loop := LoopThrough(b, nil)
	if loop == nil {
		return nil
	}
	remote := Addresses(&b.Spec.Remote, b.Namespace)
	for i, address := range Addresses(&b.Spec.Local, b.Namespace) {
		if j := slices.Index(remote, address); j >= 0 {
			local, same := b.Spec.Local.Servers()[i].URL, b.Spec.Remote.Servers()[j].URL
			return field.ErrorList{field.Invalid(path.Child("remote"), v1alpha1.PublicURL(same), fmt.Sprintf(
				"the server %s of local is the same one, and messages would go round in a loop: %s; a bridge connects two different sides, name each server on one of them only", v1alpha1.PublicURL(local), loop))}
		}
	}
	return nil
}

// equal reports whether two rules have the same filter and keep the topic.
func equal(a, b *v1alpha1.Rule) bool {
	keeps := func(r *v1alpha1.Rule) bool { return r.Topic == "" || r.Topic == v1alpha1.DefaultTopic }
	return a.Filter == b.Filter && keeps(a) && keeps(b)
}
