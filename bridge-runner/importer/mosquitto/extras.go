// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package mosquitto

import (
	"strconv"
	"strings"

	"k8s.io/utils/ptr"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/importer/draft"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/importer/tree"
	"github.com/mqttbridge/mqttbridge-operator/internal/count"
)

// retain reads bridge_outgoing_retain.
func (i importer) retain(r *draft.Reader) {
	if keep, ok := r.Bool("bridge_outgoing_retain"); ok && !keep {
		for n := range i.Spec().LocalToRemote {
			i.Spec().LocalToRemote[n].Retain = ptr.To(v1alpha1.RetainClear)
		}
	}
}

// notifications reads the topic of the state of the bridge.
func (i importer) notifications(r *draft.Reader) {
	on, isSet := r.Bool("notifications")
	topic, hasTopic := r.Text("notification_topic")
	localOnly, _ := r.Bool("notifications_local_only")
	switch {
	case isSet && !on:
		return
	case hasTopic && !strings.HasPrefix(topic, "$"):
		i.Spec().Notifications = &v1alpha1.Notifications{Topic: topic}
		if localOnly {
			r.Changed("notifications_local_only", "the bridge reports its state on both sides")
		}
	case hasTopic:
		r.LeftOut("notification_topic", "clients cannot publish to topics that begin with $, such as %s; choose another topic, and set spec.notifications.topic", topic)
	case isSet:
		r.LeftOut("notifications", "the default topic of Mosquitto begins with $SYS, and clients cannot publish to it; choose a topic, and set spec.notifications.topic")
	default:
		i.Note(i.Line, "notifications", "Mosquitto reports the state of the bridge under $SYS/broker/connection by default, and the bridge does not; set spec.notifications.topic if clients need the state")
	}
}

// retry reads restart_timeout: a constant pause, or the first and the longest pause, and how long a
// connection must last.
func (i importer) retry(r *draft.Reader) {
	text, ok := r.Text("restart_timeout")
	if !ok {
		return
	}
	var values []int64
	for _, word := range strings.Fields(text) {
		n, err := strconv.ParseInt(word, 10, 32)
		if err != nil || n < 0 || len(values) == 3 {
			i.Fail(r.Line("restart_timeout"), 1, "restart_timeout is one to three numbers of seconds, not %q", text)
			return
		}
		values = append(values, n)
	}
	if values[0] == 0 {
		r.Note("restart_timeout", "the first pause is 1 second, as Mosquitto uses 1 second for 0")
	}
	first := min(max(values[0], 1), 3600)
	last := first
	if len(values) > 1 {
		last = max(values[1], 1)
		if last < first {
			i.Fail(r.Line("restart_timeout"), 1, "restart_timeout %s: the longest pause is shorter than the first one", text)
			return
		}
	}
	draft.Failover(&i.Spec().Remote).Retry = &v1alpha1.Retry{
		InitialMilliseconds: ptr.To(int32(min(first, 60) * 1000)),
		MaxSeconds:          ptr.To(int32(min(last, 3600))),
	}
	if first > 60 || last > 3600 {
		r.Changed("restart_timeout", "the first pause of the bridge is at most 60 seconds, and the longest one 3600 seconds")
	}
	if len(values) > 2 {
		r.Changed("restart_timeout", "the pauses of the bridge begin with the first one again after each connection, not after %s", count.Of(values[2], "second"))
	}
}

// start reads start_type.
func (i importer) start(r *draft.Reader) {
	kind, ok := r.Text("start_type")
	switch {
	case !ok || kind == "automatic":
	case kind == "lazy" || kind == "once":
		r.LeftOut("start_type", "%s; it connects again after each loss", lazyReason)
	default:
		i.Fail(r.Line("start_type"), 1, "start_type is automatic, lazy or once, not %q", kind)
	}
}

// brokerOptions adds notes about the options of the broker that concern its bridges.
func (i importer) brokerOptions(broker *tree.Value) {
	local := &i.Spec().Local
	for _, option := range []string{"allow_anonymous", "listener_allow_anonymous"} {
		f := broker.Get(option)
		if f == nil || local.Credentials != nil || firstWord(f) != "false" && firstWord(f) != "0" {
			continue
		}
		i.Note(f.Line, f.Key, "the bridge connects to this broker as a client, so it needs a user: add one with mosquitto_passwd, and set spec.local.credentials")
	}
	for _, option := range []string{"max_queued_messages", "max_queued_bytes", "max_inflight_messages"} {
		if f := broker.Get(option); f != nil {
			i.Note(f.Line, f.Key, "it still applies: this broker keeps the messages for the bridge in a session")
		}
	}
	if f := broker.Get("queue_qos0_messages"); f != nil && (firstWord(f) == "true" || firstWord(f) == "1") {
		i.Spec().Buffer = &v1alpha1.Buffer{QoS0WhenDown: ptr.To(v1alpha1.QoS0WhenDownBuffer)}
		i.Note(f.Line, f.Key, "the bridge keeps QoS 0 messages while the destination is down, up to spec.buffer.memory.size")
	}
}
