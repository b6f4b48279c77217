// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package takeovers

import (
	"time"

	"k8s.io/utils/ptr"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

// The limits of the gaps.
const (
	// inPlace is the limit for changes that touch no connection.
	inPlace = 20 * time.Millisecond
	// inPlaceOnNode is the same limit on a node whose processors also start containers and serve the API server.
	// In 2 minutes without any event, gaps of 80 ms were seen there.
	inPlaceOnNode = 50 * time.Millisecond
	// reconnect is the limit for events after which a side uses another connection.
	reconnect = 50 * time.Millisecond
	// transfer is the limit for a change of a client identifier. The earlier session must be silent for 100 ms.
	transfer = 250 * time.Millisecond
)

// event is a row of the table.
type event struct {
	name string
	// limit is the longest gap. 0 means that the gap is measured and has no limit.
	limit time.Duration
	// median is the limit of the median of the gaps. 0 means that it has none but limit.
	median time.Duration
	// baseline is an event of the same fleet in which nothing happens. If there is one, median and limit are for the
	// differences between the two: in minutes, a machine with two processors has delays of its own.
	baseline *event
	// act brings the event about, and returns when it is over.
	act func(*world)
	// after makes the next event possible. It follows the measurement. It may be nil.
	after func(*world)
	// mayRepeat is set if messages may arrive twice.
	mayRepeat bool
}

// scenario is a list of events that happen in turn. After the last one, the next repetition can begin.
type scenario struct {
	name string
	// remotes is the number of brokers on the remote side. 0 means 1.
	remotes int
	// users are the users of the brokers. nil means that clients are anonymous.
	users map[string]string
	// changing starts streams for the rules of changeRules. With interrupted, the events start and
	// end the forwarding of these streams, so that their messages do not count.
	changing, interrupted bool
	// pair makes two runners serve the bridge. nil means that there is one runner.
	pair *pairing
	// prepare changes the first manifest.
	prepare func(*world)
	events  []event
}

type spec = v1alpha1.MQTTBridgeSpec

// change returns an event that changes the manifest.
func change(name string, edit func(*spec)) event {
	return event{name: name, limit: inPlace, act: func(w *world) { w.update(edit) }}
}

var scenarios = []scenario{
	{
		name: "rules", changing: true, interrupted: true,
		events: []event{
			starting(change("rule added", changeRules(v1alpha1.Rule{Filter: "x"}))),
			change("rule removed", changeRules()),
		},
	}, {
		name: "topic of a rule", changing: true, prepare: withRules(v1alpha1.Rule{Filter: "x"}),
		events: []event{
			change("target topic of a rule changed", changeRules(v1alpha1.Rule{Filter: "x", Topic: "moved/x"})),
			change("target topic of a rule changed", changeRules(v1alpha1.Rule{Filter: "x"})),
		},
	}, {
		name: "filter", changing: true, prepare: withRules(v1alpha1.Rule{Filter: "x"}),
		events: []event{
			change("filter widened to cover the old one", changeRules(v1alpha1.Rule{Filter: "#"})),
			change("filter narrowed", changeRules(v1alpha1.Rule{Filter: "x"})),
		},
	}, {
		name: "exclude", changing: true, prepare: withRules(v1alpha1.Rule{Filter: "#"}),
		events: []event{
			change("exclude of a rule changed", changeRules(v1alpha1.Rule{Filter: "#", Exclude: []string{"hidden"}})),
			change("exclude of a rule changed", changeRules(v1alpha1.Rule{Filter: "#"})),
		},
	}, {
		name: "unforwardable",
		events: []event{
			change("delivery.unforwardable changed", func(s *spec) {
				s.Delivery = &v1alpha1.Delivery{Unforwardable: &v1alpha1.Unforwardable{Policy: ptr.To(v1alpha1.UnforwardableBlock)}}
			}),
			change("delivery.unforwardable changed", func(s *spec) { s.Delivery = nil }),
		},
	}, {
		name: "drain rate", prepare: (*world).withDisk,
		events: []event{
			change("buffer.drain changed", func(s *spec) { s.Buffer.Drain = &v1alpha1.Drain{MessagesPerSecond: ptr.To[int32](10)} }),
			change("buffer.drain changed", func(s *spec) { s.Buffer.Drain = nil }),
		},
	}, {
		name: "failover",
		events: []event{
			change("retry, probe, failback and connectTimeoutSeconds changed", bothSides(func(s *v1alpha1.Side) {
				s.Failover = &v1alpha1.Failover{
					ConnectTimeoutSeconds: ptr.To[int32](7),
					Retry:                 &v1alpha1.Retry{InitialMilliseconds: ptr.To[int32](100)},
					Probe:                 &v1alpha1.Probe{IntervalSeconds: ptr.To[int32](2)},
					Failback:              &v1alpha1.Failback{StableSeconds: ptr.To[int32](20)},
				}
			})),
			change("retry, probe, failback and connectTimeoutSeconds changed", bothSides(func(s *v1alpha1.Side) { s.Failover = nil })),
		},
	}, {
		name: "log level",
		events: []event{
			change("log level changed", func(s *spec) { s.Runner = &v1alpha1.Runner{LogLevel: v1alpha1.LogLevelDebug} }),
			change("log level changed", func(s *spec) { s.Runner = nil }),
		},
	}, {
		name: "backups", remotes: 3, prepare: (*world).withoutFailback,
		events: []event{
			servers("backup added", 0, 1, 2),
			servers("servers reordered, server in use kept", 2, 0, 1),
			servers("backup removed", 0),
		},
	}, {
		name: "server in use removed", remotes: 2, prepare: (*world).withoutFailback,
		events: []event{
			servers("backup added", 0, 1),
			leaving(servers("server in use removed", 1), 1),
			servers("backup added", 1, 0),
			leaving(servers("server in use removed", 0), 0),
		},
	}, {
		name: "credentials, reconnect: OnChange", users: logins(), prepare: withLogin(ptr.To(v1alpha1.ReconnectOnChange)),
		events: []event{
			{name: "login rotated, reconnect: OnChange", limit: reconnect, act: (*world).rotateAndReconnect},
		},
	}, {
		name: "credentials, reconnect: Never", users: logins(), prepare: withLogin(nil),
		events: []event{
			{name: "login rotated, reconnect: Never", limit: inPlace, act: (*world).rotate},
		},
	}, {
		name: "keepAliveSeconds",
		events: []event{
			reconnecting("local", "keepAliveSeconds of the local side changed", func(s *spec) { s.Local.KeepAliveSeconds = ptr.To[int32](20) }),
			reconnecting("remote", "keepAliveSeconds of the remote side changed", func(s *spec) { s.Remote.KeepAliveSeconds = ptr.To[int32](20) }),
			reconnecting("local", "keepAliveSeconds of the local side changed", func(s *spec) { s.Local.KeepAliveSeconds = nil }),
			reconnecting("remote", "keepAliveSeconds of the remote side changed", func(s *spec) { s.Remote.KeepAliveSeconds = nil }),
		},
	}, {
		name: "pingTimeoutSeconds and ackTimeoutSeconds",
		events: []event{
			reconnecting("remote", "pingTimeoutSeconds and ackTimeoutSeconds changed", func(s *spec) {
				s.Remote.Failover = &v1alpha1.Failover{PingTimeoutSeconds: ptr.To[int32](7), AckTimeoutSeconds: ptr.To[int32](12)}
			}),
			reconnecting("remote", "pingTimeoutSeconds and ackTimeoutSeconds changed", func(s *spec) { s.Remote.Failover = nil }),
		},
	}, {
		name: "clientID",
		events: []event{
			transferring("local", "clientID of the local side changed", func(w *world) { w.manifest.Spec.Local.ClientID = w.newClientID() }),
			transferring("remote", "clientID of the remote side changed", func(w *world) { w.manifest.Spec.Remote.ClientID = w.newClientID() }),
		},
	},
}
