package redis

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/caddy-wechat/gateway/internal/secret"
	"github.com/caddy-wechat/gateway/internal/session"
	"github.com/caddy-wechat/gateway/internal/session/redis/redistest"
)

// An ACL user who may do nothing but what the store needs, on its own keys.
func TestUserWithLeastRights(t *testing.T) {
	server := redistest.Start(t)
	server.Do("ACL", "SETUSER", "gateway", "on", ">their password", "resetkeys", "~test:*", "resetchannels", "-@all",
		"+get", "+set", "+del", "+pttl", "+expire",
		"+hget", "+hgetall", "+hset", "+hincrby", "+zadd", "+zrem", "+zremrangebyscore", "+zcount", "+multi", "+exec", "+eval", "+evalsha", "+hello", "+ping", "+client", "+cluster")
	o := options(server.Addr)
	o.Username, o.Password = "gateway", secret.New("their password")
	store := connect(t, o)
	ref := mustPut(t, store, "session-00000000000001")
	wantGet(t, store, ref, nil)
	if err := store.Delete(t.Context(), ref); err != nil {
		t.Error(err)
	}
	if _, err := store.Deny(t.Context(), ref.AppID, ref.OpenID, time.Now().Add(time.Hour)); err != nil {
		t.Error(err)
	}
	if _, err := store.EndApp(t.Context(), ref.AppID); err != nil {
		t.Error(err)
	}
	if err := store.DropKey(t.Context(), "0123456789abcdef"); err != nil {
		t.Error(err)
	}
	if got, err := store.Count(t.Context(), ref.AppID); err != nil || got.Sessions != 0 {
		t.Errorf("%+v, %v", got, err)
	}
	key := session.CodeKey{AppID: "wx"}
	if claim, _, err := store.ClaimCode(t.Context(), key); err != nil || claim != session.ClaimGranted {
		t.Errorf("%v, %v", claim, err)
	}
	o.KeyPrefix = "other:"
	if err := open(t, o).Connect(t.Context()); !errors.Is(err, session.ErrUnavailable) {
		t.Errorf("keys of others: %v", err)
	}
}

func TestTLSIsVerified(t *testing.T) {
	cert, key, pool := certificate(t)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := ln.Addr().String()
	ln.Close()
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	redistest.Start(
		t, "--tls-port", port, "--tls-cert-file", cert, "--tls-key-file", key, "--tls-ca-cert-file", cert, "--tls-auth-clients", "no",
	)
	o := options(addr)
	o.TLS = &tls.Config{RootCAs: pool, ServerName: "redis.internal", MinVersion: tls.VersionTLS12}
	store := connect(t, o)
	wantGet(t, store, mustPut(t, store, "session-00000000000001"), nil)
	for name, config := range map[string]*tls.Config{
		"unknown authority": {ServerName: "redis.internal", MinVersion: tls.VersionTLS12},
		"another name":      {RootCAs: pool, ServerName: "redis.example", MinVersion: tls.VersionTLS12},
		"plain":             nil,
	} {
		o.TLS = config
		o.Timeout = time.Second
		if err := open(t, o).Connect(t.Context()); !errors.Is(err, session.ErrUnavailable) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// certificate makes one for redis.internal that vouches for itself.
func certificate(t *testing.T) (certFile, keyFile string, pool *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"redis.internal"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	for name, data := range map[string][]byte{certFile: certPEM, keyFile: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})} {
		if err := os.WriteFile(name, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	pool = x509.NewCertPool()
	pool.AppendCertsFromPEM(certPEM)
	return certFile, keyFile, pool
}
