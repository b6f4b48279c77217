// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/ptr"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/internal/count"
)

// Loop is a sequence of rules by which a message comes back to the topic that it started
// with: each rule publishes the message under a topic that the next rule forwards.
type Loop struct {
	steps []step
}

// step is one rule of a loop, with the topic of the message before and after the rule.
type step struct {
	route   *route
	in, out string
}

// maxNamedSteps is the largest number of steps that String names.
const maxNamedSteps = 6

// String names the rules of a loop, and the topics of a message that goes through it. If a bridge of
// another namespace takes part, it describes neither that bridge nor the topics: the readers of the
// message may not be permitted to read that bridge.
func (l *Loop) String() string {
	names := placeholders(l.steps[0].in)
	hides := slices.ContainsFunc(l.steps, func(s step) bool { return s.route.hidden })
	var b strings.Builder
	for i, s := range l.steps {
		if i == maxNamedSteps {
			b.WriteString(", and so on through " + count.Of(len(l.steps)-maxNamedSteps, "more rule"))
			break
		}
		if i > 0 {
			b.WriteString(", ")
		}
		switch {
		case s.route.hidden:
			b.WriteString("a rule of a bridge in another namespace")
		case hides:
			fmt.Fprintf(&b, "%s (filter %q)", s.route.name, shorten(s.route.rule.Filter.String()))
		default:
			fmt.Fprintf(&b, "%s (filter %q) publishes %q as %q", s.route.name, shorten(s.route.rule.Filter.String()), shorten(names.Replace(s.in)), shorten(names.Replace(s.out)))
		}
	}
	return b.String()
}

func shorten(s string) string {
	const maxBytes = 60
	if len(s) <= maxBytes {
		return s
	}
	return strings.ToValidUTF8(s[:maxBytes], "") + "..."
}

// placeholders returns a replacer that gives the variables of a topic, which stand for any
// level, the names x1, x2 and so on.
func placeholders(topic string) *strings.Replacer {
	var pairs []string
	for _, r := range topic {
		if isVariable(r) {
			pairs = append(pairs, string(r), fmt.Sprintf("x%d", 1+len(pairs)/2))
		}
	}
	return strings.NewReplacer(pairs...)
}

// FindLoop returns a loop that the rules form if the servers of both sides send the messages
// that the bridge publishes back to it. It returns nil if there is none. [Validate] must have
// accepted the spec. Servers do not send messages back with MQTT 5 (No Local), and with
// MQTT 3.1.1 if they support the bridge flag. delivery.maxHops ends every loop.
func FindLoop(s *v1alpha1.MQTTBridgeSpec) *Loop {
	if s.Delivery != nil && s.Delivery.MaxHops != nil {
		return nil
	}
	localToRemote, remoteToLocal, err := Directions(s)
	if err != nil {
		return nil // validateRules reports it
	}
	const local, remote = 0, 1
	var routes []*route
	for i := range localToRemote {
		routes = append(routes, &route{name: fmt.Sprintf("localToRemote[%d]", i), rule: &localToRemote[i], from: local, to: remote})
	}
	for i := range remoteToLocal {
		routes = append(routes, &route{name: fmt.Sprintf("remoteToLocal[%d]", i), rule: &remoteToLocal[i], from: remote, to: local})
	}
	return findLoop(routes, func(*route, *route) bool { return true }, func([]step) bool { return true })
}

// FindLoopThrough returns a loop of a message through bridge b and other bridges between the
// same servers. It returns nil if there is none. [Validate] must have accepted all of them.
// A server that does not send messages back to their publisher does not prevent such a loop,
// because another bridge receives them. The same is true for one bridge whose sides have a
// server in common.
func FindLoopThrough(b *v1alpha1.MQTTBridge, others []*v1alpha1.MQTTBridge) *Loop {
	rules := 0
	for _, x := range others {
		rules += len(x.Spec.LocalToRemote) + len(x.Spec.RemoteToLocal)
	}
	if rules > maxRoutes {
		return nil
	}
	var routes []*route
	servers := serverGroups{}
	for owner, x := range append([]*v1alpha1.MQTTBridge{b}, others...) {
		localToRemote, remoteToLocal, err := Directions(&x.Spec)
		if err != nil || x.Spec.Delivery != nil && x.Spec.Delivery.MaxHops != nil {
			continue // maxHops ends a loop
		}
		local, remote := servers.add(&x.Spec.Local, x.Namespace), servers.add(&x.Spec.Remote, x.Namespace)
		name := func(kind string, i int) string {
			return fmt.Sprintf("%s[%d] of %s/%s", kind, i, x.Namespace, x.Name)
		}
		for i := range localToRemote {
			routes = append(routes, &route{name: name("localToRemote", i), rule: &localToRemote[i], from: local, to: remote, owner: owner, forward: true, sentBack: sendsBack(&x.Spec.Remote), hidden: x.Namespace != b.Namespace})
		}
		for i := range remoteToLocal {
			routes = append(routes, &route{name: name("remoteToLocal", i), rule: &remoteToLocal[i], from: remote, to: local, owner: owner, sentBack: sendsBack(&x.Spec.Local), hidden: x.Namespace != b.Namespace})
		}
	}
	for _, r := range routes {
		r.from, r.to = servers.find(r.from), servers.find(r.to)
	}
	// A bridge has one client on each side: a message that a rule publishes reaches
	// a rule of the other direction of the same bridge only if the server sends messages back
	// to their publisher.
	reaches := func(a, b *route) bool { return a.owner != b.owner || a.forward == b.forward || a.sentBack }
	return findLoop(routes, reaches, func(steps []step) bool {
		return slices.ContainsFunc(steps, func(s step) bool { return s.route.owner == 0 })
	})
}

// serverGroups groups the sides that have a server in common, directly or through other
// sides. It is a union-find structure: each side has a number, and each group is identified
// by the number of one of its sides.
type serverGroups struct {
	sides   map[string]int // the latest side with each address
	parents []int          // by side
}

// find returns the number of the group of side n, and makes the way to it shorter.
func (g *serverGroups) find(n int) int {
	for g.parents[n] != n {
		g.parents[n] = g.parents[g.parents[n]]
		n = g.parents[n]
	}
	return n
}

// add adds a side and returns its number.
func (g *serverGroups) add(s *v1alpha1.Side, namespace string) int {
	if g.sides == nil {
		g.sides = map[string]int{}
	}
	n := len(g.parents)
	g.parents = append(g.parents, n)
	for _, address := range Addresses(s, namespace) {
		if other, ok := g.sides[address]; ok {
			g.parents[g.find(other)] = g.find(n)
		}
		g.sides[address] = n
	}
	return n
}

// Addresses returns the addresses of a side's servers, as seen from a namespace. Two sides
// that have an address in common have a server in common.
func Addresses(s *v1alpha1.Side, namespace string) []string {
	servers := s.Servers()
	out := make([]string, 0, len(servers))
	for _, server := range servers {
		out = append(out, addressOf(server.URL, namespace))
	}
	return out
}

// addressOf returns a server's host, port and path in a canonical form: it is the same for
// all names of a Service within the cluster, and for all notations of an IP address.
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

// sendsBack reports whether the servers of a side send the bridge's own messages back. With
// bridgeMode Auto the bridge asks them not to, and does not use a server that does not
// support this.
func sendsBack(s *v1alpha1.Side) bool {
	return ptr.Deref(s.ProtocolVersion, v1alpha1.ProtocolVersion311) != v1alpha1.ProtocolVersion5 &&
		ptr.Deref(s.BridgeMode, v1alpha1.BridgeModeAuto) == v1alpha1.BridgeModeOff
}

const loopRemedy = "set protocolVersion: '5' or bridgeMode: Auto on that side, so that the servers do not send them back; or change a filter or topic; or add the topics of one rule to the exclude field of another rule"

// validateLoops refuses rules that form a loop: a rule publishes a message on the remote
// side, another one publishes it on the local side, and so on, through any number of rules.
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
	for i := range s.RemoteToLocal {
		for j := range s.LocalToRemote {
			if equal(&s.LocalToRemote[j], &s.RemoteToLocal[i]) { // the message is the same as in the schema
				return field.ErrorList{field.Invalid(path.Child("remoteToLocal"), s.RemoteToLocal[i].Filter, "a rule of localToRemote and a rule of remoteToLocal have the same filter and both keep the topic, so every message would circulate in a loop, because with MQTT 3.1.1 and bridgeMode: Off a server sends the bridge's own messages back; set protocolVersion: '5' or bridgeMode: Auto on that side, or give one of the rules a topic that the other's filter does not match")}
			}
		}
	}
	loop := FindLoop(s)
	if loop == nil {
		return nil
	}
	return field.ErrorList{field.Invalid(path.Child("remoteToLocal"), shorten(loop.steps[0].route.rule.Filter.String()), fmt.Sprintf(
		"messages would circulate in a loop: %s, because the servers of %s use MQTT 3.1.1 and bridgeMode: Off and send the bridge's own messages back; %s", loop, strings.Join(off, " and "), loopRemedy))}
}

// validateSameServer refuses rules that form a loop because both sides have a server in
// common under different URLs. The schema compares only the URLs.
func validateSameServer(b *v1alpha1.MQTTBridge, path *field.Path) field.ErrorList {
	loop := FindLoopThrough(b, nil)
	if loop == nil {
		return nil
	}
	remote := Addresses(&b.Spec.Remote, b.Namespace)
	for i, address := range Addresses(&b.Spec.Local, b.Namespace) {
		if j := slices.Index(remote, address); j >= 0 {
			localURL, remoteURL := b.Spec.Local.Servers()[i].URL, b.Spec.Remote.Servers()[j].URL
			return field.ErrorList{field.Invalid(path.Child("remote"), v1alpha1.PublicURL(remoteURL), fmt.Sprintf(
				"the server %s of local is the same server, and messages would circulate in a loop: %s; a bridge connects two different sides: list each server on one side only", v1alpha1.PublicURL(localURL), loop))}
		}
	}
	return nil
}

// equal reports whether two rules have the same filter and keep the topic.
func equal(a, b *v1alpha1.Rule) bool {
	keeps := func(r *v1alpha1.Rule) bool { return r.Topic == "" || r.Topic == v1alpha1.DefaultTopic }
	return a.Filter == b.Filter && keeps(a) && keeps(b)
}
