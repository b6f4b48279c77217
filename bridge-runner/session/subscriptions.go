// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package session

import (
	"maps"
	"slices"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/packet"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/topic"
)

// Subscription is a topic filter and the highest QoS at which the server should send
// matching messages.
type Subscription struct {
	Filter string
	QoS    byte
	// RetainHandling controls when the server sends retained messages (MQTT 5 section
	// 3.8.3.1): 0 always, 1 if the session does not have the subscription yet, 2 never.
	RetainHandling byte
	// ID is the Subscription Identifier (MQTT 5 section 3.8.2.1.2), 0 for none.
	ID uint32
}

// recordedSubscription is a subscription that the server has in the session, as far as the
// client knows.
type recordedSubscription struct {
	// Subscription is the subscription that the server has granted. While uncertain is set, the
	// server may have it, another one to the same filter, or none.
	Subscription
	// version is the version of MQTT by which it was made. The options of a subscription of
	// version 3.1.1 differ, also if its fields are equal.
	version packet.Version
	// granted is the QoS that the server has granted.
	granted byte
	// uncertain is set while a SUBSCRIBE or UNSUBSCRIBE of the filter has no answer, also after
	// the end of the connection, and by [State.DoubtSubscriptions].
	uncertain bool
	// retry is whether the server has granted a QoS below the requested one on an earlier
	// connection. It may grant more now.
	retry bool
	// refusedEnd is whether the server has refused on this connection to end the subscription.
	refusedEnd bool
}

// subscriptionRecord holds the subscriptions that the server has in the session, by filter: MQTT
// has no packet that asks for them. It does not have the subscriptions that an earlier process
// has made in a session that the server resumes.
//
// It has no lock of its own: State.mu guards it, and its methods require State.mu.
type subscriptionRecord map[string]*recordedSubscription

// change is a subscription to make, or the filter of a subscription to end.
type change struct {
	Subscription
	// sentRetainHandling is the Retain Handling of the SUBSCRIBE.
	sentRetainHandling byte
	// unrecorded is whether the record does not have the filter yet.
	unrecorded bool
}

// beginConnection is called when the server resumes the session on a new connection.
func (r subscriptionRecord) beginConnection() {
	for _, has := range r {
		has.retry, has.refusedEnd = has.granted < has.QoS, false
	}
}

// missing returns the wanted subscriptions that the server does not have, has differently, or may
// not have. A SUBSCRIBE replaces the subscription to the same filter, and makes a server of MQTT
// 3.1.1 send its retained messages again ([MQTT-3.8.4-3]). MQTT 5 can avoid that: if the server
// certainly has a subscription to the filter, and the Retain Handling is unchanged, the SUBSCRIBE
// requests retained messages only for the case that the server has lost the subscription.
func (r subscriptionRecord) missing(wanted []Subscription, v packet.Version) (all []change) {
	const ifNew = 1
	for _, w := range wanted {
		has := r[w.Filter]
		c := change{Subscription: w, sentRetainHandling: w.RetainHandling, unrecorded: has == nil}
		if has != nil && !has.uncertain {
			if !has.retry && has.version == v && has.Subscription == w {
				continue
			}
			if has.RetainHandling == w.RetainHandling {
				c.sentRetainHandling = max(w.RetainHandling, ifNew)
			}
		}
		all = append(all, c)
	}
	return all
}

// unwanted returns the recorded subscriptions to filters that are not wanted, in alphabetical
// order, without those that the server refuses to end.
func (r subscriptionRecord) unwanted(wanted []Subscription) (all []change) {
	for _, filter := range slices.Sorted(maps.Keys(r)) {
		isWanted := slices.ContainsFunc(wanted, func(w Subscription) bool { return w.Filter == filter })
		if !isWanted && !r[filter].refusedEnd {
			all = append(all, change{Subscription: Subscription{Filter: filter}})
		}
	}
	return all
}

// replaced returns the recorded subscriptions that differ from a wanted subscription only in the prefix
// $exclusive/. The wanted subscriptions are uncertain from now on, because a server may end them
// together with the recorded ones.
func (r subscriptionRecord) replaced(wanted []Subscription) (all []change) {
	for _, c := range r.unwanted(wanted) {
		for _, w := range wanted {
			if !topic.SameTopics(c.Filter, w.Filter) {
				continue
			}
			if all = append(all, c); r[w.Filter] != nil {
				r[w.Filter].uncertain = true
			}
		}
	}
	return all
}

// doubt records that the server may or may not have a subscription to the filter.
func (r subscriptionRecord) doubt(sub Subscription) {
	if has := r[sub.Filter]; has != nil {
		has.uncertain = true
		return
	}
	r[sub.Filter] = &recordedSubscription{Subscription: sub, granted: sub.QoS, uncertain: true}
}

// grant records that the server has granted a subscription at a QoS.
func (r subscriptionRecord) grant(c *change, v packet.Version, qos byte) {
	r[c.Filter] = &recordedSubscription{Subscription: c.Subscription, version: v, granted: qos}
}

// refuse records that the server has refused a subscription. An earlier subscription to the
// filter may have remained.
func (r subscriptionRecord) refuse(c *change) {
	if c.unrecorded {
		delete(r, c.Filter)
	}
}

// refuseEnd records that the server has refused to end the subscription to a filter.
func (r subscriptionRecord) refuseEnd(filter string) {
	if has := r[filter]; has != nil {
		has.refusedEnd = true
	}
}

// lowered returns the subscriptions that the server has granted at a lower QoS than requested, in
// alphabetical order.
func (r subscriptionRecord) lowered() (all []LoweredFilter) {
	for _, filter := range slices.Sorted(maps.Keys(r)) {
		if has := r[filter]; has.granted < has.QoS && !has.refusedEnd {
			all = append(all, LoweredFilter{filter, has.QoS, has.granted})
		}
	}
	return all
}

// Subscribed reports whether the session on the server has subscriptions, or may have some, as
// far as this process knows. It does not count subscriptions that the server has refused to end on
// the latest connection.
func (s *State) Subscribed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, has := range s.subscriptions {
		if !has.refusedEnd {
			return true
		}
	}
	return false
}

// maxDoubted is the number of recorded filters from which DoubtSubscriptions adds none. It is far
// above the number of rules of a bridge.
const maxDoubted = 1024

// DoubtSubscriptions records that the session on the server may or may not have these
// subscriptions: for example, an earlier process may have made them. The next SetSubscriptions
// makes or ends each of them. If the record has maxDoubted filters, others are not recorded: if the
// server has them, their messages are dropped when they arrive.
func (s *State) DoubtSubscriptions(all []Subscription) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, sub := range all {
		if s.subscriptions[sub.Filter] != nil || len(s.subscriptions) < maxDoubted {
			s.subscriptions.doubt(sub)
		}
	}
}
