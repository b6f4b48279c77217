// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package session

import (
	"strings"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/packet"
)

const (
	// minAliasedTopic is the length of the shortest topic that gets an alias, in bytes. An
	// alias takes three bytes, and at most one more for the length of the properties: with
	// a shorter topic the packet would become larger.
	minAliasedTopic = 4
	// maxAliasBytes bounds the memory of the topics with aliases, in bytes: servers allow
	// 65,535 aliases, and topics of 64 KiB.
	maxAliasBytes = 1 << 20
	// aliasOverhead is roughly the memory of an entry besides its topic, in bytes.
	aliasOverhead = 64
)

// aliasLocked replaces the topic by its alias. A topic without an alias gets one if the
// server allows one more (MQTT 5 section 3.3.2.3.4) and the packet does not become too
// large. A packet with an alias in place of the topic is never larger than the original
// packet. Aliases belong to the connection and end with it.
func (s *Session) aliasLocked(p *packet.Publish) {
	if s.aliases == nil || len(p.Topic) < minAliasedTopic {
		return
	}
	if a, ok := s.aliases[p.Topic]; ok {
		p.TopicAlias, p.Topic = a, ""
		return
	}
	if len(s.aliases) >= int(s.server.TopicAliasMaximum) || s.aliasBytes+len(p.Topic)+aliasOverhead > maxAliasBytes {
		return
	}
	p.TopicAlias = uint16(len(s.aliases) + 1) //nolint:gosec // at most the maximum
	if !s.fits(p) {
		p.TopicAlias = 0
		return
	}
	s.aliases[strings.Clone(p.Topic)] = p.TopicAlias // the topic may be a part of a large packet
	s.aliasBytes += len(p.Topic) + aliasOverhead
}
