// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package outages

import (
	"fmt"
	"net"
	"strings"
	"testing"

	v5 "github.com/eclipse/paho.golang/packets"
	v311 "github.com/eclipse/paho.mqtt.golang/packets"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/test/mqtttest"
)

// connecting are the faults of a server during an attempt. No messages are involved, so that both
// directions have the same bound.
var connecting = []fault{
	attempt("port closed", atOnce, v1alpha1.ReasonConnectionRefused, func(w *world) v1alpha1.Server {
		return at(mqtttest.FreePort(w))
	}),
	isolatedAttempt("black-holed while connecting", toAnswer, v1alpha1.ReasonConnectTimeout, func(w *world) v1alpha1.Server {
		port := mqtttest.FreePort(w)
		block(w, port, dropTo)
		return at(port)
	}),
	isolatedAttempt("no route", atOnce, v1alpha1.ReasonHostUnreachable, func(*world) v1alpha1.Server {
		return v1alpha1.Server{URL: "mqtt://192.0.2.1"} // the namespace has only loopback
	}),
	isolatedAttempt("host unreachable while connecting, reported by ICMP", atOnce, v1alpha1.ReasonHostUnreachable, func(w *world) v1alpha1.Server {
		port := mqtttest.FreePort(w)
		block(w, port, unreachable)
		return at(port)
	}),
	isolatedAttempt("name unknown", atOnce, v1alpha1.ReasonNameNotResolved, named(unknownName)),
	isolatedAttempt("name server fails", atOnce, v1alpha1.ReasonNameNotResolved, named(brokenName)),
	isolatedAttempt("name server silent", toAnswer, v1alpha1.ReasonNameNotResolved, named(silentName)),
	attempt("accepts and never answers", toAnswer, v1alpha1.ReasonConnectTimeout, func(w *world) v1alpha1.Server {
		return v1alpha1.Server{URL: w.mute("mqtt", mqtttest.BrokerOptions{Name: "mute"})}
	}),
	attempt("accepts and never answers, TLS", toAnswer, v1alpha1.ReasonConnectTimeout, func(w *world) v1alpha1.Server {
		return secured(w.mute("mqtts", mqtttest.BrokerOptions{Name: "mute", TLS: w.pki.Server()}))
	}),
	attempt("accepts and closes", atOnce, v1alpha1.ReasonConnectionClosed, func(w *world) v1alpha1.Server {
		return v1alpha1.Server{URL: mqtttest.StartFaulty(w, mqtttest.CloseImmediately).URL()}
	}),
	attempt("answers with data that is not MQTT", atOnce, v1alpha1.ReasonProtocolError, func(w *world) v1alpha1.Server {
		return v1alpha1.Server{URL: mqtttest.StartFaulty(w, mqtttest.AnswerNonMQTT).URL()}
	}),
	attempt("CONNACK refuses: wrong password", atOnce, v1alpha1.ReasonAuthenticationFailed, func(w *world) v1alpha1.Server {
		return v1alpha1.Server{URL: w.broker(mqtttest.BrokerOptions{Name: "guarded", Users: map[string]string{"a": "b"}}).URL()}
	}),
	attempt("CONNACK refuses: server unavailable", atOnce, v1alpha1.ReasonServerUnavailable, func(w *world) v1alpha1.Server {
		code := byte(v311.ErrRefusedServerUnavailable)
		if w.version == v1alpha1.ProtocolVersion5 {
			code = v5.ConnackServerUnavailable
		}
		return refusing(w, w.version, code)
	}),
	attempt("SUBACK never comes", toAnswer, v1alpha1.ReasonConnectTimeout, func(w *world) v1alpha1.Server {
		return w.sifted(without(v5.SUBACK))
	}),
	attempt("SUBACK refuses", atOnce, v1alpha1.ReasonSubscriptionRefused, func(w *world) v1alpha1.Server {
		return w.sifted(func(packet []byte) []byte {
			if packet[0]>>4 == v5.SUBACK {
				packet[len(packet)-1] = 0x80
			}
			return packet
		})
	}),
	attempt("certificate expired", atOnce, v1alpha1.ReasonTLSFailed, func(w *world) v1alpha1.Server {
		return w.showing(w.pki.Expired(), nil)
	}),
	attempt("certificate of an unknown authority", atOnce, v1alpha1.ReasonTLSFailed, func(w *world) v1alpha1.Server {
		return w.showing(mqtttest.NewPKI(w).Server(), nil)
	}),
	attempt("certificate for another name", atOnce, v1alpha1.ReasonTLSFailed, func(w *world) v1alpha1.Server {
		return w.showing(w.pki.WrongName(), nil)
	}),
	attempt("client certificate demanded", atOnce, v1alpha1.ReasonTLSFailed, func(w *world) v1alpha1.Server {
		return w.showing(w.pki.Server(), w.pki.CA)
	}),
	attempt("no TLS on the port", atOnce, v1alpha1.ReasonTLSFailed, func(w *world) v1alpha1.Server {
		plain := w.broker(mqtttest.BrokerOptions{Name: "plain"})
		return secured(strings.Replace(plain.URL(), "mqtt:", "mqtts:", 1))
	}),
	attempt("no WebSocket there", atOnce, v1alpha1.ReasonWebSocketRefused, func(w *world) v1alpha1.Server {
		plain := w.broker(mqtttest.BrokerOptions{Name: "plain"})
		return v1alpha1.Server{URL: strings.Replace(plain.URL(), "mqtt:", "ws:", 1) + "/mqtt"}
	}),
	attempt("proxy lost", atOnce, v1alpha1.ReasonProxyFailed, func(w *world) v1alpha1.Server {
		gateway := fmt.Sprintf("socks5://127.0.0.1:%d", mqtttest.FreePort(w))
		return v1alpha1.Server{URL: "mqtt://broker.example", Proxy: &v1alpha1.Proxy{URL: gateway}}
	}),
	attempt("Secret missing", atOnce, v1alpha1.ReasonReferenceMissing, func(*world) v1alpha1.Server {
		return v1alpha1.Server{URL: "mqtt://guarded.example", Credentials: mqtttest.Login("missing")}
	}),
}

func attempt(name string, b bound, reason string, server func(*world) v1alpha1.Server) fault {
	e := expect(b, reason)
	return fault{name: name, connecting: server, toward: e, from: e}
}

func isolatedAttempt(name string, b bound, reason string, server func(*world) v1alpha1.Server) fault {
	f := attempt(name, b, reason, server)
	f.isolated = true
	return f
}

func at(port int) v1alpha1.Server {
	return v1alpha1.Server{URL: fmt.Sprintf("mqtt://127.0.0.1:%d", port)}
}

func named(host string) func(*world) v1alpha1.Server {
	return func(*world) v1alpha1.Server { return v1alpha1.Server{URL: "mqtt://" + host} }
}

// secured returns a server whose certificate must be signed by the authority of the tests.
func secured(url string) v1alpha1.Server {
	return v1alpha1.Server{URL: url, TLS: mqtttest.TrustConfigMap(authority)}
}

// showing starts a broker with a certificate. If clientCA is not nil, it requires a client
// certificate.
func (w *world) showing(pair *mqtttest.KeyPair, clientCA []byte) v1alpha1.Server {
	w.Helper()
	return secured(w.broker(mqtttest.BrokerOptions{Name: "secured", TLS: pair, ClientCA: clientCA}).URL())
}

// mute starts a broker behind a proxy that accepts connections and forwards nothing from the
// broker.
func (w *world) mute(scheme string, o mqtttest.BrokerOptions) (url string) {
	w.Helper()
	l := w.proxy.link(w, w.broker(o).Address())
	l.poison(timeoutToxic, "timeout", downstream)
	return fmt.Sprintf("%s://localhost:%d", scheme, l.port)
}

// sifted starts a broker behind a sieve that edits the broker's packets.
func (w *world) sifted(edit func([]byte) []byte) v1alpha1.Server {
	w.Helper()
	s := startSieve(w, w.broker(mqtttest.BrokerOptions{Name: "sifted"}).Address())
	s.change(edit)
	return v1alpha1.Server{URL: s.URL()}
}

// refusing starts a server that answers CONNECT with the given code.
func refusing(t testing.TB, version v1alpha1.ProtocolVersion, code byte) v1alpha1.Server {
	t.Helper()
	connack := []byte{v5.CONNACK << 4, 2, 0, code}
	if version == v1alpha1.ProtocolVersion5 {
		connack = []byte{v5.CONNACK << 4, 3, 0, code, 0}
	}
	s := mqtttest.StartFaulty(t, func(c net.Conn) {
		if _, err := c.Read(make([]byte, 1024)); err != nil { // the CONNECT arrives in one read
			return
		}
		_, _ = c.Write(connack)
	})
	return v1alpha1.Server{URL: s.URL()}
}
