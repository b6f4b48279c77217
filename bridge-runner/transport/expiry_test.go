// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package transport

import (
	"crypto/tls"
	"crypto/x509"
	"testing"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/test/mqtttest"
)

func TestHandshake_Expiry_IsThatOfEachCertificateAlsoIfResumed(t *testing.T) {
	pki := mqtttest.NewPKI(t)
	longLived, short := pki.LongLived(), pki.Client("bridge")
	server := serverTLS(t, longLived)
	server.ClientAuth, server.ClientCAs = tls.RequireAndVerifyClientCert, pool(pki.CA)
	hostPort, _ := listenTLS(t, server)
	full := Expiry{Server: notAfter(t, longLived), Authority: notAfter(t, &mqtttest.KeyPair{Cert: pki.CA}), Client: notAfter(t, short)}
	withoutClient := full
	withoutClient.Client = time.Time{}
	plain, _ := listenTLS(t, serverTLS(t, longLived))
	for _, tt := range []struct {
		name, address string
		certificates  []tls.Certificate
		want          Expiry
	}{
		{"with a client certificate", hostPort, serverTLS(t, short).Certificates, full},
		{"without a client certificate", plain, nil, withoutClient},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got []Handshake
			cfg := Config{HostPort: tt.address, TLS: clientTLS(pki), Sessions: &TLSSessions{Observe: func(h Handshake) { got = append(got, h) }}}
			cfg.TLS.Certificates = tt.certificates
			connectOnce(t, cfg)
			connectOnce(t, cfg)
			if len(got) != 2 || got[0].Resumed || !got[1].Resumed {
				t.Fatalf("handshakes %+v; want a full and a resumed one", got)
			}
			for _, h := range got {
				if h.Expiry != tt.want {
					t.Errorf("resumed %t: %+v; want %+v", h.Resumed, h.Expiry, tt.want)
				}
			}
		})
	}
}

// A chain with a cross-signed authority has two ends. The connection works until the later one.
func TestExpiry_TwoVerifiedChains_IsTheLaterAuthority(t *testing.T) {
	cert := func(days int) *x509.Certificate {
		return &x509.Certificate{NotAfter: time.Unix(0, 0).Add(time.Duration(days) * 24 * time.Hour)}
	}
	state := &tls.ConnectionState{
		PeerCertificates: []*x509.Certificate{cert(1), cert(9)},
		VerifiedChains:   [][]*x509.Certificate{{cert(1), cert(20)}, {cert(1), cert(9), cert(30)}},
	}
	if got, want := expiryOf(state, nil), (Expiry{Server: cert(1).NotAfter, Authority: cert(30).NotAfter}); got != want {
		t.Errorf("%+v; want %+v", got, want)
	}
}
