// Command csi-sidecars stands in for the two sidecars of a CSI node plugin, whose modules cannot be had from the Go module proxy:
// node-driver-registrar and livenessprobe, told apart by the name it is started under. It takes their flags and is made of the
// library that they are made of (csi-lib-utils).
package main

import (
	"context"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/kubernetes-csi/csi-lib-utils/connection"
	"github.com/kubernetes-csi/csi-lib-utils/rpc"
	"google.golang.org/grpc"
	"k8s.io/klog/v2"
	registration "k8s.io/kubelet/pkg/apis/pluginregistration/v1"
)

var (
	csiAddress   = flag.String("csi-address", "/run/csi/socket", "the CSI socket, as this container sees it")
	kubeletPath  = flag.String("kubelet-registration-path", "", "the CSI socket, as the kubelet sees it")
	healthPort   = flag.Int("health-port", 9808, "where to serve /healthz")
	probeTimeout = flag.Duration("probe-timeout", time.Second, "how long a probe may take")
)

func main() {
	klog.InitFlags(nil)
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	work := register
	if filepath.Base(os.Args[0]) == "livenessprobe" {
		work = answerProbes
	}
	if err := work(ctx); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// register makes the driver known to the kubelet for as long as it runs (kubelet pluginmanager).
func register(ctx context.Context) error {
	conn, err := connection.Connect(ctx, *csiAddress, nil, connection.WithTimeout(0))
	if err != nil {
		return err
	}
	name, err := rpc.GetDriverName(ctx, conn)
	if err != nil {
		return err
	}
	socket := filepath.Join("/registration", name+"-reg.sock")
	if err := os.Remove(socket); err != nil && !os.IsNotExist(err) {
		return err
	}
	listener, err := net.Listen("unix", socket)
	if err != nil {
		return err
	}
	server := grpc.NewServer()
	registration.RegisterRegistrationServer(server, &registrar{name: name})
	// Closing the listener removes the socket, and with it the driver from the kubelet.
	go func() {
		<-ctx.Done()
		server.Stop()
	}()
	return server.Serve(listener)
}

type registrar struct {
	registration.UnimplementedRegistrationServer
	name string
}

func (r *registrar) GetInfo(context.Context, *registration.InfoRequest) (*registration.PluginInfo, error) {
	return &registration.PluginInfo{
		Type:              registration.CSIPlugin,
		Name:              r.name,
		Endpoint:          *kubeletPath,
		SupportedVersions: []string{"1.0.0"},
	}, nil
}

func (r *registrar) NotifyRegistrationStatus(_ context.Context, status *registration.RegistrationStatus) (*registration.RegistrationStatusResponse, error) {
	if !status.PluginRegistered {
		fmt.Fprintln(os.Stderr, "the kubelet does not register the driver:", status.Error)
		os.Exit(1)
	}
	return &registration.RegistrationStatusResponse{}, nil
}

// answerProbes answers a liveness probe of the kubelet with a Probe of the driver.
func answerProbes(ctx context.Context) error {
	conn, err := connection.Connect(ctx, *csiAddress, nil, connection.WithTimeout(0))
	if err != nil {
		return err
	}
	http.HandleFunc("/healthz", func(response http.ResponseWriter, request *http.Request) {
		ctx, cancel := context.WithTimeout(request.Context(), *probeTimeout)
		defer cancel()
		if ready, err := rpc.Probe(ctx, conn); err != nil || !ready {
			http.Error(response, fmt.Sprint("not ready: ", err), http.StatusInternalServerError)
			return
		}
		fmt.Fprint(response, "ok")
	})
	server := &http.Server{Addr: fmt.Sprintf(":%d", *healthPort)}
	go func() {
		<-ctx.Done()
		server.Close()
	}()
	if err := server.ListenAndServe(); err != http.ErrServerClosed {
		return err
	}
	return nil
}
