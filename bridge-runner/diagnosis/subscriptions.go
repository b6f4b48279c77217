// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package diagnosis

import (
	"fmt"
	"math"
	"strings"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/session"
)

// filterCodes are the meanings of the codes of SUBACK and UNSUBACK (MQTT 5 sections 3.9.3 and 3.11.3).
var filterCodes = map[byte]string{
	0x80: "",
	0x87: ": not authorised",
	0x8F: ": the filter is not allowed",
	0x91: ": the packet identifier is in use",
	0x95: ": the request is larger than the server's maximum packet size",
	0x97: ": the server's quota is exceeded",
	0x9E: ": the server does not support shared subscriptions",
	0xA1: ": the server does not support subscription identifiers",
	0xA2: ": the server does not support wildcard subscriptions",
}

// refusedFilters explains why the server refuses filters.
func refusedFilters(all []session.RefusedFilter) string {
	each := eachRefused(all)
	if len(all) == 1 {
		return "the server refuses the subscription to " + each[0] + "; allow the bridge's user to subscribe to it, or change the rule's filter"
	}
	return fmt.Sprintf("the server refuses %d subscriptions; allow the bridge's user to subscribe to them, or change the rules' filters: %s", len(each), strings.Join(each, "; "))
}

// refusedEnds explains why the server does not end subscriptions.
func refusedEnds(all []session.RefusedFilter) string {
	return "the server refuses to end subscriptions, so that the bridge drops the messages that still arrive for them; end them on the server: " + strings.Join(eachRefused(all), "; ")
}

// eachRefused names each filter and the reason of the refusal.
func eachRefused(all []session.RefusedFilter) []string {
	each := make([]string, len(all))
	for i, r := range all {
		why, ok := filterCodes[r.Code]
		if !ok {
			why = fmt.Sprintf(": reason code 0x%02x", r.Code)
		}
		each[i] = fmt.Sprintf("%q%s%s", r.Filter, why, said(r.Said))
	}
	return each
}

// subscribingRemedy returns the remedy if the server may have ended the session because of the
// subscriptions.
func subscribingRemedy(reason string) string {
	switch reason {
	case v1alpha1.ReasonConnectionClosed, v1alpha1.ReasonDisconnected, v1alpha1.ReasonAuthenticationFailed, v1alpha1.ReasonQuotaExceeded:
		return "; check that the server allows the bridge's user to subscribe to these filters, and how many subscriptions it allows"
	}
	return ""
}

// few names the first three filters.
func few(filters []string) string {
	const few = 3
	named := make([]string, 0, few)
	for _, f := range filters[:min(few, len(filters))] {
		named = append(named, fmt.Sprintf("%.60q", f))
	}
	text := strings.Join(named, ", ")
	if more := len(filters) - len(named); more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// Shortfalls explains the shortfalls of a connected server. Each reason is a reason of the condition
// Degraded, and occurs at most once.
func Shortfalls(s session.Shortfalls) []Problem {
	var qos []string
	if s.Publish != nil {
		qos = append(qos, loweredPublishQoS(*s.Publish))
	}
	if len(s.Lowered) > 0 {
		qos = append(qos, loweredQoS(s.Lowered))
	}
	var all []Problem
	if len(qos) > 0 {
		all = append(all, Problem{v1alpha1.ReasonQoSLowered, strings.Join(qos, "; ")})
	}
	if s.Expiry != nil {
		all = append(all, Problem{v1alpha1.ReasonSessionExpiryLowered, loweredExpiry(*s.Expiry)})
	}
	return all
}

func loweredQoS(all []session.LoweredFilter) string {
	cost := "messages may arrive twice"
	each := make([]string, len(all))
	for i, l := range all {
		if l.Granted == 0 {
			cost = "messages are lost while the bridge is disconnected"
		}
		each[i] = fmt.Sprintf("%q (QoS %d instead of %d)", l.Filter, l.Granted, l.Requested)
	}
	return fmt.Sprintf(
		"the server grants a lower QoS than the rules request, so that %s; allow the QoS on the server, or set the rules' qos to the granted QoS: %s", cost, strings.Join(each, ", "))
}

func loweredPublishQoS(l session.LoweredQoS) string {
	cost := "messages may arrive twice"
	if l.Granted == 0 {
		cost = "messages are lost when the connection fails"
	}
	return fmt.Sprintf("the server accepts messages at QoS %d at most and the rules request QoS %d, so that %s; allow the QoS on the server, or lower the rules' qos to %d",
		l.Granted, l.Requested, cost, l.Granted)
}

func loweredExpiry(l session.LoweredExpiry) string {
	if l.Granted == 0 {
		return fmt.Sprintf(
			"the server deletes the session when the connection ends (sessionExpiry: %s), so that messages are lost while the bridge is disconnected; allow persistent sessions on the server, or set cleanSession: true if these messages are not needed",
			expiry(l.Requested))
	}
	return fmt.Sprintf(
		"the server keeps the session for %s without a connection (sessionExpiry: %s), so that messages are lost during a longer outage; raise the server's limit, or set sessionExpiry: %[1]s if this time is long enough",
		expiry(l.Granted), expiry(l.Requested))
}

// expiry returns a session expiry interval in the form of sessionExpiry, in the largest unit that
// is exact.
func expiry(seconds uint32) string {
	switch {
	case seconds == math.MaxUint32:
		return string(v1alpha1.SessionExpiryNever)
	case seconds%3600 == 0:
		return fmt.Sprintf("%dh", seconds/3600)
	case seconds%60 == 0:
		return fmt.Sprintf("%dm", seconds/60)
	}
	return fmt.Sprintf("%ds", seconds)
}

// Remarks returns remarks about how a connection was made, for the log.
func Remarks(r session.Remarks) []string {
	var all []string
	for _, violation := range r.Violations {
		all = append(all, "the server's CONNACK has "+violation)
	}
	if r.NoRetain {
		all = append(all, "the server does not support retained messages; the bridge sends messages to it without the retain flag")
	}
	if r.NoBridgeFlag {
		all = append(all, "the server refuses the bridge flag, so the bridge connects without it; set bridgeMode: 'Off' to avoid the attempt with the flag")
	}
	return all
}
