// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/internal/count"
)

// unforwardable returns the reported messages that no server accepts. It is empty if the
// reporting pod is gone.
func (o *observation) unforwardable() v1alpha1.UnforwardableStatus {
	if o.reportingPod() == nil {
		return v1alpha1.UnforwardableStatus{}
	}
	return ptr.Deref(o.bridge.Status.Unforwardable, v1alpha1.UnforwardableStatus{})
}

// withUnforwardable adds the messages that no server accepts to the condition Degraded.
// Problems of the buffer come before them, because they concern all messages.
func withUnforwardable(o *observation, c metav1.Condition) metav1.Condition {
	u := o.unforwardable()
	var messages []string
	for _, direction := range []struct {
		name string
		m    *v1alpha1.UnforwardableMessage
	}{{"localToRemote", u.LocalToRemote}, {"remoteToLocal", u.RemoteToLocal}} {
		if direction.m != nil {
			messages = append(messages, fmt.Sprintf(msgUnforwardable, direction.name, count.Of(ptr.Deref(direction.m.Bytes, 0), "byte"), direction.m.Topic, direction.m.Reason, direction.m.Message))
		}
	}
	if len(messages) == 0 {
		return c
	}
	text := strings.Join(messages, "; ")
	switch {
	case c.Status != metav1.ConditionTrue:
		c.Reason, c.Message = v1alpha1.ReasonMessagesUnforwardable, text
	case c.Reason == v1alpha1.ReasonBufferFailed || c.Reason == v1alpha1.ReasonBufferFull:
		c.Message += "; " + text
	default:
		c.Reason, c.Message = v1alpha1.ReasonMessagesUnforwardable, text+"; "+c.Message
	}
	c.Status = metav1.ConditionTrue
	return c
}

// announceUnforwardable returns an event for a message that no server accepts if it is
// newer than the announced one.
func announceUnforwardable(rules string, m *v1alpha1.UnforwardableMessage, sent *metav1.MicroTime) []event {
	if m == nil || !m.Time.After(sent.Time) {
		return nil
	}
	*sent = m.Time
	return []event{{
		eventType: corev1.EventTypeWarning,
		reason:    v1alpha1.EventMessageUnforwardable,
		action:    actionReportMessage,
		part:      "status.unforwardable." + rules,
		note:      note(msgUnforwardable, rules, count.Of(ptr.Deref(m.Bytes, 0), "byte"), m.Topic, m.Reason, m.Message),
	}}
}
