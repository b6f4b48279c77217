// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

// Package peer is an MQTT server that follows MQTT 3.1.1 and MQTT 5 awaitingPubrec, and checks that its
// clients do, too. Its purpose is to test clients: it has its own codec, keeps sessions in memory,
// and can do everything that the specifications allow a server or a network to do at any packet. It
// cuts connections, drops sessions, changes its limits, delays answers, refuses connections and
// messages, and restarts.
//
// Guarantees:
//   - The server reports each rule that a client violates as a [Violation] with the latest
//     packets of the connection and of the previous one.
//   - A QoS 2 message reaches the application layer once per packet identifier, whatever
//     the client does: a PUBLISH with an identifier that the session holds is a duplicate
//     (MQTT 5 section 4.3.3), as strict servers treat it.
//   - The application layer has a message before the server acknowledges it: with PUBACK
//     at QoS 1, and at QoS 2 with PUBREC or PUBCOMP, depending on
//     [Config.DeliverOnRelease].
//   - The server sends the unacknowledged messages of a resumed session again, in order,
//     with DUP.
//
// The caller provides the messages and the faults: [App] is the application layer, and
// [Config.Plan] plans each connection.
//
// Lock order: Server.mu, then the locks of the App, then the lock of a connection's writer.
package peer
