// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package packet

import (
	"bytes"
	"io"
	"strings"
	"testing"

	paho5 "github.com/eclipse/paho.golang/packets"
	paho311 "github.com/eclipse/paho.mqtt.golang/packets"
)

// typical is like the messages in the benchmarks of the runner.
var typical = Publish{Topic: "plant1/sensors/temperature", Payload: strings.Repeat("x", 128), ID: 4711, QoS: 1}

var versions = []struct {
	name    string
	version Version
}{{"3.1.1", V311}, {"5", V5}}

// BenchmarkDecodePublish decodes received bytes into a message. The case "ours" copies the
// body, as the runner does, so that the message outlives the buffer.
func BenchmarkDecodePublish(b *testing.B) {
	for _, v := range versions {
		wire := AppendPublish(nil, v.version, &typical)
		b.Run(v.name+"/ours", func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(wire)))
			for b.Loop() {
				f, _, err := Next(wire, v.version, 0)
				if err != nil {
					b.Fatal(err)
				}
				if _, err := DecodePublish(v.version, f.Flags, string(f.Body)); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(v.name+"/paho", func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(wire)))
			r := bytes.NewReader(nil)
			for b.Loop() {
				r.Reset(wire)
				if err := readPaho(v.version, r); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func readPaho(v Version, r io.Reader) (err error) {
	if v == V5 {
		_, err = paho5.ReadPacket(r)
	} else {
		_, err = paho311.ReadPacket(r)
	}
	return err
}

// BenchmarkEncodePublish encodes a message into a buffer that is reused. Paho allocates its
// own buffers, and its output is discarded.
func BenchmarkEncodePublish(b *testing.B) {
	for _, v := range versions {
		size := int64(SizePublish(v.version, &typical))
		b.Run(v.name+"/ours", func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(size)
			buf := make([]byte, 0, size)
			for b.Loop() {
				buf = AppendPublish(buf[:0], v.version, &typical)
			}
		})
		b.Run(v.name+"/paho", func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(size)
			payload := []byte(typical.Payload)
			for b.Loop() {
				if err := writePaho(v.version, payload, io.Discard); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func writePaho(v Version, payload []byte, w io.Writer) error {
	if v == V5 {
		_, err := (&paho5.Publish{Topic: typical.Topic, Payload: payload, PacketID: typical.ID, QoS: 1}).WriteTo(w)
		return err
	}
	return (&paho311.PublishPacket{
		FixedHeader: paho311.FixedHeader{MessageType: paho311.Publish, Qos: 1},
		TopicName:   typical.Topic, MessageID: typical.ID, Payload: payload,
	}).Write(w)
}

func BenchmarkAck(b *testing.B) {
	for _, v := range versions {
		ack := Ack{Type: PUBACK, ID: 4711}
		wire := AppendAck(nil, v.version, ack)
		buf := make([]byte, 0, len(wire))
		b.Run(v.name+"/decode", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				f, _, _ := Next(wire, v.version, 0)
				if _, err := DecodeAck(v.version, f); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(v.name+"/encode", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				buf = AppendAck(buf[:0], v.version, ack)
			}
		})
	}
}
