// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"fmt"
	"hash/fnv"
	"slices"
	"strconv"
	"strings"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/config"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/session"
)

// Subscriptions returns what to subscribe to for the rules: the filters that no
// other filter covers, each with what those want that it stands for. An MQTT
// 3.1.1 server may send a message once per matching subscription (section 3.3.5),
// so that a filter inside of another would bring messages twice.
func Subscriptions(rules []config.Rule) []session.Subscription {
	var out []session.Subscription
	for i := range rules {
		if coveredByAnother(rules, i) {
			continue
		}
		s := subscription(&rules[i])
		for j := range rules {
			if rules[i].Filter.Covers(rules[j].Filter) {
				join(&s, &rules[j])
			} else if rules[i].Filter.Overlaps(rules[j].Filter) {
				s.QoS = max(s.QoS, rules[j].QoS)
			}
		}
		out = append(out, s)
	}
	return out
}

// IdentifiedSubscriptions returns what to subscribe to for the rules where the server
// says by subscription identifiers which filters a message matched (MQTT 5 section
// 3.3.4): all filters. A message that matches several may come once or once for each,
// and goes over once per rule either way.
func IdentifiedSubscriptions(rules []config.Rule) []session.Subscription {
	var out []session.Subscription
	for i, id := range identifiers(rules) {
		if at := slices.IndexFunc(out, func(s session.Subscription) bool { return s.ID == id }); at >= 0 {
			join(&out[at], &rules[i])
			continue
		}
		s := subscription(&rules[i])
		s.ID = id
		out = append(out, s)
	}
	return out
}

func subscription(r *config.Rule) session.Subscription {
	return session.Subscription{Filter: r.Filter.String(), QoS: r.QoS, RetainHandling: retainHandlings[r.RetainHandling]}
}

// join makes a subscription bring what the rule wants, too.
func join(s *session.Subscription, r *config.Rule) {
	s.QoS = max(s.QoS, r.QoS)
	s.RetainHandling = min(s.RetainHandling, retainHandlings[r.RetainHandling]) // the lower, the more
}

// retainHandlings are the values of the option (MQTT 5 section 3.8.3.1).
var retainHandlings = map[v1alpha1.RetainHandling]byte{
	v1alpha1.RetainHandlingSend:      0,
	v1alpha1.RetainHandlingSendIfNew: 1,
	v1alpha1.RetainHandlingDoNotSend: 2,
}

// identifiers returns the rules' subscription identifiers: equal filters have the same
// one, since the later of two equal subscriptions takes the earlier's place
// ([MQTT-3.8.4-3]). They follow from the filter alone, whatever other rules there are:
// after a change of the manifest what a server has stored comes with the identifiers
// of before.
func identifiers(rules []config.Rule) []uint32 {
	const most = 268_435_455 // section 3.8.2.1.2
	filters := make(map[uint32]string, len(rules))
	out := make([]uint32, len(rules))
	for i := range rules {
		filter := rules[i].Filter.String()
		hash := fnv.New32a()
		_, _ = hash.Write([]byte(filter)) // never fails
		id := 1 + hash.Sum32()%most
		for filters[id] != "" && filters[id] != filter {
			id = 1 + id%most
		}
		filters[id], out[i] = filter, id
	}
	return out
}

// filters lists the rules' filters for messages, ten at most.
func filters(rules []config.Rule) string {
	const most = 10
	var b strings.Builder
	for i := range rules {
		if i == most {
			fmt.Fprintf(&b, " and %d more", len(rules)-most)
			break
		}
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(strconv.Quote(rules[i].Filter.String()))
	}
	return b.String()
}

// asked reports whether the server sent the message for the subscription with this
// identifier, or does not say.
func asked(in *session.Inbound, id uint32) bool {
	return len(in.Subscriptions) == 0 || slices.Contains(in.Subscriptions, id)
}

// coveredByAnother reports whether another rule's filter covers that of rule i. Of
// two equal filters the first counts.
func coveredByAnother(rules []config.Rule, i int) bool {
	for j := range rules {
		if j != i && rules[j].Filter.Covers(rules[i].Filter) && (j < i || !rules[i].Filter.Covers(rules[j].Filter)) {
			return true
		}
	}
	return false
}

func retain(policy v1alpha1.RetainPolicy, received bool) bool {
	switch policy {
	case v1alpha1.RetainClear:
		return false
	case v1alpha1.RetainSet:
		return true
	case v1alpha1.RetainKeep:
	}
	return received
}
