// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/config"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/session"
)

// Subscriptions returns what to subscribe to for the rules: the filters that no
// other filter covers, each at the highest QoS of those it stands for. An MQTT
// 3.1.1 server may send a message once per matching subscription (section 3.3.5),
// so that a filter inside of another would bring messages twice.
func Subscriptions(rules []config.Rule) []session.Subscription {
	var out []session.Subscription
	for i := range rules {
		if coveredByAnother(rules, i) {
			continue
		}
		qos := rules[i].QoS
		for j := range rules {
			if rules[i].Filter.Covers(rules[j].Filter) {
				qos = max(qos, rules[j].QoS)
			}
		}
		out = append(out, session.Subscription{Filter: rules[i].Filter.String(), QoS: qos})
	}
	return out
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
