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
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/session"
	"github.com/mqttbridge/mqttbridge-operator/internal/manifest"
)

// Subscriptions returns the subscriptions for the rules: the filters that no other filter
// covers, each with the QoS and the retain handling that the covered rules need, too. An
// MQTT 3.1.1 server may send a message once per matching subscription (section 3.3.5), so
// that a covered filter would bring messages twice.
func Subscriptions(rules []manifest.Rule) []session.Subscription {
	var out []session.Subscription
	for i := range rules {
		if coveredByAnother(rules, i) {
			continue
		}
		s := subscription(&rules[i])
		for j := range rules {
			if rules[i].Filter.Covers(rules[j].Filter) {
				widen(&s, &rules[j])
			} else if rules[i].Filter.Overlaps(rules[j].Filter) {
				s.QoS = max(s.QoS, rules[j].QoS)
			}
		}
		out = append(out, s)
	}
	return out
}

// IdentifiedSubscriptions returns the subscriptions for the rules if the server names the
// filters that a message matched by subscription identifiers (MQTT 5 section 3.3.4): all
// filters. The server may send a message that matches several filters once, or once for
// each filter. The message is forwarded once per rule either way.
func IdentifiedSubscriptions(rules []manifest.Rule) []session.Subscription {
	var out []session.Subscription
	for i, id := range identifiers(rules) {
		if at := slices.IndexFunc(out, func(s session.Subscription) bool { return s.ID == id }); at >= 0 {
			widen(&out[at], &rules[i])
			if rules[i].Filter.Exclusive() {
				out[at].Filter = rules[i].Filter.String()
			}
			continue
		}
		s := subscription(&rules[i])
		s.ID = id
		out = append(out, s)
	}
	return out
}

func subscription(r *manifest.Rule) session.Subscription {
	return session.Subscription{Filter: r.Filter.String(), QoS: r.QoS, RetainHandling: retainHandlings[r.RetainHandling]}
}

// widen makes a subscription bring the messages that the rule needs, too.
func widen(s *session.Subscription, r *manifest.Rule) {
	s.QoS = max(s.QoS, r.QoS)
	s.RetainHandling = min(s.RetainHandling, retainHandlings[r.RetainHandling]) // a lower value brings more messages
}

// retainHandlings maps the API's values to those on the wire (MQTT 5 section 3.8.3.1).
var retainHandlings = map[v1alpha1.RetainHandling]byte{
	v1alpha1.RetainHandlingSend:      0,
	v1alpha1.RetainHandlingSendIfNew: 1,
	v1alpha1.RetainHandlingDoNotSend: 2,
}

// identifiers returns the subscription identifiers of the rules. Equal filters have the
// same identifier, because the later of two equal subscriptions replaces the earlier one
// ([MQTT-3.8.4-3]), also if only one of them begins with $exclusive/. An identifier depends
// on its filter alone, and not on the other rules: after a change of the manifest, the
// messages that a server has stored arrive with the identifiers from before the change.
func identifiers(rules []manifest.Rule) []uint32 {
	const maxID = 268_435_455 // section 3.8.2.1.2
	filters := make(map[uint32]string, len(rules))
	out := make([]uint32, len(rules))
	for i := range rules {
		filter := rules[i].Filter.Topics()
		hash := fnv.New32a()
		_, _ = hash.Write([]byte(filter)) // never fails
		id := 1 + hash.Sum32()%maxID
		for filters[id] != "" && filters[id] != filter {
			id = 1 + id%maxID
		}
		filters[id], out[i] = filter, id
	}
	return out
}

// filters lists the filters of the rules for messages to users, ten at most.
func filters(rules []manifest.Rule) string {
	const maxListed = 10
	var b strings.Builder
	for i := range rules {
		if i == maxListed {
			fmt.Fprintf(&b, " and %d more", len(rules)-maxListed)
			break
		}
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(strconv.Quote(rules[i].Filter.String()))
	}
	return b.String()
}

// coveredByAnother reports whether the filter of another rule covers the filter of rule
// i. Of equal filters, the first is not covered by the others.
func coveredByAnother(rules []manifest.Rule, i int) bool {
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
