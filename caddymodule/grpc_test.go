package caddymodule_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// grpcApp is a real gRPC server. Its messages are those of the health service, so
// that nothing must be generated.
type grpcApp struct {
	grpc_health_v1.UnimplementedHealthServer
	seen chan metadata.MD
}

func (a *grpcApp) Check(ctx context.Context, req *grpc_health_v1.HealthCheckRequest) (*grpc_health_v1.HealthCheckResponse, error) {
	md, _ := metadata.FromIncomingContext(ctx)
	a.seen <- md
	_ = grpc.SetHeader(ctx, metadata.Pairs("x-answer", "header"))
	_ = grpc.SetTrailer(ctx, metadata.Pairs("x-answer-trailer", "trailer"))
	if req.GetService() == "missing" {
		return nil, status.Error(codes.NotFound, "there is no such service: 没有")
	}
	return &grpc_health_v1.HealthCheckResponse{Status: grpc_health_v1.HealthCheckResponse_SERVING}, nil
}

func (a *grpcApp) Watch(_ *grpc_health_v1.HealthCheckRequest, stream grpc.ServerStreamingServer[grpc_health_v1.HealthCheckResponse]) error {
	md, _ := metadata.FromIncomingContext(stream.Context())
	a.seen <- md
	for range 3 {
		if err := stream.Send(&grpc_health_v1.HealthCheckResponse{Status: grpc_health_v1.HealthCheckResponse_SERVING}); err != nil {
			return err
		}
	}
	return nil
}

// echoStream answers each message before it reads the next one.
var echoStream = grpc.StreamDesc{StreamName: "Echo", ServerStreams: true, ClientStreams: true, Handler: func(app any, stream grpc.ServerStream) error {
	md, _ := metadata.FromIncomingContext(stream.Context())
	app.(*grpcApp).seen <- md
	for {
		message := new(grpc_health_v1.HealthCheckRequest)
		if err := stream.RecvMsg(message); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if err := stream.SendMsg(message); err != nil {
			return err
		}
	}
}}

// gRPC servers refuse calls without `te: trailers`, and say how a call went in
// the trailers of the answer.
func TestGRPCWorksThroughTheGateway(t *testing.T) {
	app := &grpcApp{seen: make(chan metadata.MD, 1)}
	server := grpc.NewServer()
	grpc_health_v1.RegisterHealthServer(server, app)
	server.RegisterService(&grpc.ServiceDesc{ServiceName: "test.Echo", HandlerType: (*any)(nil), Streams: []grpc.StreamDesc{echoStream}}, app)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)

	upstream := "reverse_proxy h2c://" + listener.Addr().String()
	certificate := "tls " + selfSigned(t)
	stock := strings.Replace(freeAddr(t), "127.0.0.1", "localhost", 1)
	g := newGateway(t, func(g *gatewayTest) {
		g.scheme = "https"
		g.addr = strings.Replace(g.addr, "127.0.0.1", "localhost", 1)
		g.site = certificate + "\nwechat_auth\n" + upstream
		g.sites = "https://" + stock + " {\n" + certificate + "\n" + upstream + "\n}\n"
	})
	h1 := &http.Transport{TLSClientConfig: insecure(), DisableKeepAlives: true}
	token := g.tlsLogin(t, h1)
	outcomes := make(map[string][]string)
	for name, addr := range map[string]string{"stock": stock, "gateway": g.addr} {
		conn, err := grpc.NewClient(addr, grpc.WithTransportCredentials(credentials.NewTLS(insecure())))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		outcomes[name] = callGRPC(t, name, conn, app, token)
	}
	if got, want := fmt.Sprint(outcomes["gateway"]), fmt.Sprint(outcomes["stock"]); got != want {
		t.Errorf("gateway %s\nstock %s", got, want)
	}
	conn, err := grpc.NewClient(g.addr, grpc.WithTransportCredentials(credentials.NewTLS(insecure())))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := grpc_health_v1.NewHealthClient(conn).Check(t.Context(), new(grpc_health_v1.HealthCheckRequest)); status.Code(err) != codes.Unauthenticated {
		t.Errorf("without a token: %v", err)
	}
}

// callGRPC makes one call of each kind and returns how they went.
func callGRPC(t *testing.T, name string, conn *grpc.ClientConn, app *grpcApp, token string) (outcomes []string) {
	t.Helper()
	ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+token, "x-openid", "forged", "x-trace-bin", "\x00\x01")
	wantUser := func(call string) {
		t.Helper()
		select {
		case md := <-app.seen:
			if name == "gateway" &&
				(strings.Join(md["x-openid"], ",") != openIDA || len(md["authorization"]) > 0 || strings.Join(md["x-trace-bin"], "") != "\x00\x01") {
				t.Errorf("%s: the app sees %v", call, md)
			}
		default:
			t.Errorf("%s, %s: the app was not called", name, call)
		}
	}
	client := grpc_health_v1.NewHealthClient(conn)
	for _, service := range []string{"", "missing"} {
		var header, trailer metadata.MD
		answer, err := client.Check(ctx, &grpc_health_v1.HealthCheckRequest{Service: service}, grpc.Header(&header), grpc.Trailer(&trailer))
		wantUser("Check")
		outcomes = append(outcomes, fmt.Sprint(answer, err, header["x-answer"], trailer["x-answer-trailer"]))
	}
	watch, err := client.Watch(ctx, new(grpc_health_v1.HealthCheckRequest))
	if err != nil {
		t.Fatal(err)
	}
	for err == nil {
		var answer *grpc_health_v1.HealthCheckResponse
		answer, err = watch.Recv()
		outcomes = append(outcomes, fmt.Sprint(answer, err))
	}
	wantUser("Watch")
	echo, err := conn.NewStream(ctx, &echoStream, "/test.Echo/Echo")
	if err != nil {
		t.Fatal(err)
	}
	for _, size := range []int{1, 100, 100000} {
		message, answer := &grpc_health_v1.HealthCheckRequest{Service: strings.Repeat("x", size)}, new(grpc_health_v1.HealthCheckRequest)
		if err := echo.SendMsg(message); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if err := echo.RecvMsg(answer); err != nil || answer.GetService() != message.GetService() {
			t.Fatalf("%s: %v", name, err)
		}
	}
	if err := echo.CloseSend(); err != nil {
		t.Fatal(err)
	}
	if err := echo.RecvMsg(new(grpc_health_v1.HealthCheckRequest)); !errors.Is(err, io.EOF) {
		t.Errorf("%s: the stream ends with %v", name, err)
	}
	wantUser("Echo")
	return outcomes
}
