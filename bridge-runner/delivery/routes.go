// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"hash/maphash"
	"slices"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/session"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/topic"
	"github.com/mqttbridge/mqttbridge-operator/internal/manifest"
)

// routes are the rules of a pipe, and decide for which of them a message was sent.
//
// A server of MQTT 5 names the subscriptions for which it sends a message, by their identifiers.
// After the rules have changed, messages still arrive that were sent for the earlier
// subscriptions alone: until the server has the new subscriptions, and as long as it sends the
// messages that it had queued before. A new rule takes these messages, too, so that none is lost
// if its filter covers the filter of a rule that was removed. It does so until the first message
// arrives that was sent for its own filter. From then on the server sends it each message for its
// own filter, and a message without its identifier is a second copy: some servers send a message
// once for each subscription. A server sends the messages of one QoS in order.
//
// Such a server may send the copy for the earlier filter first, as Mosquitto does if the new filter
// has more wildcards. The copy for the new filter is recognized if both arrive in one read: two
// publications of the same content, one before and one after the change of the subscriptions, are
// at least a round trip apart. Otherwise one message is forwarded twice for each new rule and QoS,
// which is preferred to the loss of a message.
type routes struct {
	rules []manifest.Rule
	// ids are the subscription identifiers of the rules, in the order of rules.
	ids []uint32
	// filters lists the filters of the rules, for messages to users.
	filters string

	// removed are the filters that the latest Update has removed.
	removed []topic.Filter
	// added says of each rule whether an Update has added its filter, and at which QoS the
	// messages for this filter have arrived from source. It is in the order of rules. It is nil
	// if no Update has added a filter.
	added []addition
	// source is the session from which the latest message with identifiers arrived. It is valid
	// if added is not nil.
	source *session.Session
	// earlier is the latest message that was sent for an earlier filter and that a rule has taken.
	earlier content
}

// content identifies the content of a message, and the read in which it arrived.
type content struct {
	readAt time.Time
	hash   uint64
}

var contentSeed = maphash.MakeSeed()

func contentOf(in *session.Inbound) content {
	type identity struct {
		topic, payload string
		qos            byte
		retain         bool
	}
	return content{in.ReceivedAt, maphash.Comparable(contentSeed, identity{in.Topic, in.Payload, in.QoS, in.Retain})}
}

// addition is a set of bits. The bits 0, 1 and 2 stand for a QoS at which a message for the
// filter has arrived. They are set only if isAdded is set.
type addition uint8

// isAdded says that an Update has added the filter.
const isAdded addition = 1 << 3

func arrivedAt(qos byte) addition { return 1 << qos }

func newRoutes(rules []manifest.Rule) routes {
	return routes{rules: rules, ids: identifiers(rules), filters: filters(rules)}
}

// changed returns the routes for other rules.
func (r *routes) changed(rules []manifest.Rule) routes {
	next := newRoutes(rules)
	for i, id := range r.ids {
		if !slices.Contains(next.ids, id) {
			next.removed = append(next.removed, r.rules[i].Filter)
		}
	}
	next.added, next.source = make([]addition, len(rules)), r.source
	for i, id := range next.ids {
		switch before := slices.Index(r.ids, id); {
		case before < 0:
			next.added[i] = isAdded
		case before < len(r.added): // the server may still have queued messages from before the addition
			next.added[i] = r.added[before]
		}
	}
	if !slices.ContainsFunc(next.added, func(a addition) bool { return a != 0 }) {
		next.added = nil
	}
	return next
}

// beginMessage prepares sentFor for the message in. Another session may belong to a server
// that does not have the new subscriptions yet.
func (r *routes) beginMessage(in *session.Inbound) {
	if r.added == nil || len(in.Subscriptions) == 0 {
		return
	}
	if s := in.Session(); s != r.source {
		r.source = s
		for i := range r.added {
			r.added[i] &= isAdded
		}
	}
}

// sentFor reports whether the server sent the message for the filter of rule i. It returns true
// if the message has no subscription identifiers.
func (r *routes) sentFor(in *session.Inbound, i int) bool {
	if len(in.Subscriptions) == 0 {
		return true
	}
	own := slices.Contains(in.Subscriptions, r.ids[i])
	if len(r.added) == 0 || r.added[i] == 0 {
		return own
	}
	first := r.added[i]&arrivedAt(in.QoS) == 0
	if own {
		r.added[i] |= arrivedAt(in.QoS)
		return !first || r.earlier.readAt.IsZero() || r.earlier != contentOf(in)
	}
	if !first || !r.rules[i].Filter.Match(in.Topic) || !r.sentForEarlier(in) {
		return false
	}
	r.earlier = contentOf(in)
	return true
}

// sentForEarlier reports whether the server sent the message for a filter that no rule has any
// more.
func (r *routes) sentForEarlier(in *session.Inbound) bool {
	return slices.ContainsFunc(in.Subscriptions, func(id uint32) bool { return !slices.Contains(r.ids, id) })
}

// removedFilterMatches reports whether a filter that the latest Update has removed matches the
// topic.
func (r *routes) removedFilterMatches(name string) bool {
	return slices.ContainsFunc(r.removed, func(f topic.Filter) bool { return f.Match(name) })
}
