// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package interop

import (
	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

// sameFilterBothWays has the bridge take the same topics in both directions, which needs
// servers that do not send back what the bridge publishes.
func sameFilterBothWays(l *line) {
	home := []v1alpha1.Rule{{Filter: l.topic("home/#")}}
	l.bridge.Spec.Forwards, l.bridge.Spec.Subscriptions = home, home
	if l.version == v1alpha1.ProtocolVersion311 && !l.peer.bridgeBit {
		l.prepare(password)
		l.runner.Start()
		l.awaitError(v1alpha1.ReasonEchoNotPrevented, "protocolVersion: '5'")
		return
	}
	l.connect()
	near, far := l.client(l.local.Source()), l.client(l.remote.Source())
	near.subscribe(l.topic("home/#"))
	far.subscribe(l.topic("home/#"))
	// Each message comes to both of them, once: what went round would come before the
	// next one of the other side.
	for _, payload := range []string{"1", "2", "3"} {
		for name, publisher := range map[string]*client{"near": near, "far": far} {
			publisher.publish(l.topic("home/"+name), 1, false, []byte(payload))
			for _, c := range []*client{near, far} {
				if m := c.next(); m.Topic() != l.topic("home/"+name) || string(m.Payload()) != payload {
					l.Errorf("%q came under %s, want %q under home/%s", m.Payload(), m.Topic(), payload, name)
				}
			}
		}
	}
}
