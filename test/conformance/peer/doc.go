// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

// Package peer is an MQTT server that follows MQTT 3.1.1 and MQTT 5 to the letter and
// checks that its clients do, too. It exists to test clients: it has a codec of its own,
// keeps sessions in memory, and can do everything that the specifications allow a server
// or a network to do at any packet. It cuts connections, forgets sessions, changes its
// limits, delays answers, refuses connections and messages, and restarts.
//
// It promises:
//   - Each rule that a client breaks is reported as a [Violation] with the latest packets
//     of the connection and of the one before it.
//   - A QoS 2 message reaches the application layer once per packet identifier, whatever
//     the client does: a PUBLISH under an identifier that the session holds is a
//     duplicate (MQTT 5 section 4.3.3), as strict servers treat it.
//   - The application layer has a message before the server acknowledges it: with
//     PUBACK at QoS 1, and at QoS 2 with PUBREC or PUBCOMP, according to
//     [Config.DeliverOnRelease].
//   - It sends the unacknowledged messages of a resumed session again, in order, with DUP.
//
// It leaves to its caller which messages there are, and when to do what: [App] is the
// application layer, [Config.Plan] decides what happens on each connection.
//
// Lock order: Server.mu, then the locks of the App. The lock of a connection's writer is
// the last one.
package peer
