//! The network: smoltcp over a loopback device, with a clock that moves only when nothing else is to be done, so that
//! every run sends the same packets.

use alloc::vec;
use alloc::vec::Vec;
use core::fmt;
use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::phy::{Loopback, Medium};
use smoltcp::socket::{tcp, udp};
use smoltcp::time::{Duration, Instant};
use smoltcp::wire::{EthernetAddress, IpAddress, IpCidr, Ipv4Address};

const MAC: EthernetAddress = EthernetAddress([2, 0, 0, 0, 0, 1]);
const ADDRESS: IpAddress = IpAddress::Ipv4(Ipv4Address::new(127, 0, 0, 1));
const PREFIX_BITS: u8 = 8;
const PORT: u16 = 7;
const CLIENT_PORT: u16 = 49152;
const BUFFER_BYTES: usize = 1024;
const DATAGRAMS: usize = 8;
/// Longer than any exchange takes by the network's own clock.
const LIMIT: Instant = Instant::from_micros_const(60_000_000);

/// What stopped an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NetError {
    /// A socket refused what was asked of it.
    Socket(&'static str),
    /// The other side never got everything.
    Timeout {
        /// Bytes that arrived.
        arrived: usize,
    },
}

impl fmt::Display for NetError {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Socket(what) => write!(f, "the socket does not {what}"),
            Self::Timeout { arrived } => write!(f, "timeout after {arrived} bytes"),
        }
    }
}

/// One machine that talks to itself.
pub struct Network {
    device: Loopback,
    interface: Interface,
    sockets: SocketSet<'static>,
    now: Instant,
}

impl Network {
    /// A network without sockets.
    ///
    /// # Errors
    ///
    /// [`NetError::Socket`] when the interface takes no address.
    pub fn new() -> Result<Self, NetError> {
        let mut device = Loopback::new(Medium::Ethernet);
        let now = Instant::ZERO;
        let mut interface = Interface::new(Config::new(MAC.into()), &mut device, now);
        let mut taken = Ok(());
        interface.update_ip_addrs(|addresses| {
            taken = addresses.push(IpCidr::new(ADDRESS, PREFIX_BITS));
        });
        taken.map_err(|_| NetError::Socket("take an address"))?;
        Ok(Self {
            device,
            interface,
            sockets: SocketSet::new(Vec::new()),
            now,
        })
    }

    /// Sends `bytes` through a TCP connection; returns what arrives.
    ///
    /// # Errors
    ///
    /// [`NetError`]
    pub fn through_tcp(&mut self, bytes: &[u8]) -> Result<Vec<u8>, NetError> {
        let (server, client) = (self.tcp_socket(), self.tcp_socket());
        self.tcp(server)
            .listen(PORT)
            .map_err(|_| NetError::Socket("listen"))?;
        let context = self.interface.context();
        self.sockets
            .get_mut::<tcp::Socket>(client)
            .connect(context, (ADDRESS, PORT), CLIENT_PORT)
            .map_err(|_| NetError::Socket("connect"))?;
        let mut sent = 0;
        let mut arrived = Vec::new();
        while self.now < LIMIT {
            self.step();
            let client = self.tcp(client);
            if sent < bytes.len() && client.can_send() {
                sent += client
                    .send_slice(&bytes[sent..])
                    .map_err(|_| NetError::Socket("send"))?;
                if sent == bytes.len() {
                    client.close();
                }
            }
            let server = self.tcp(server);
            if server.can_recv() {
                server
                    .recv(|part| {
                        arrived.extend_from_slice(part);
                        (part.len(), ())
                    })
                    .map_err(|_| NetError::Socket("receive"))?;
            }
            if arrived.len() == bytes.len() {
                return Ok(arrived);
            }
        }
        Err(NetError::Timeout {
            arrived: arrived.len(),
        })
    }

    /// Sends each of `datagrams` by UDP; returns what arrives, in order.
    ///
    /// # Errors
    ///
    /// [`NetError`]
    pub fn through_udp(&mut self, datagrams: &[&[u8]]) -> Result<Vec<Vec<u8>>, NetError> {
        let socket = self.udp_socket();
        self.udp(socket)
            .bind(PORT)
            .map_err(|_| NetError::Socket("bind"))?;
        let mut sent = 0;
        let mut arrived: Vec<Vec<u8>> = Vec::new();
        while self.now < LIMIT && arrived.len() < datagrams.len() {
            let socket_now = self.udp(socket);
            if sent < datagrams.len() && socket_now.can_send() {
                socket_now
                    .send_slice(datagrams[sent], (ADDRESS, PORT))
                    .map_err(|_| NetError::Socket("send"))?;
                sent += 1;
            }
            self.step();
            while let Ok((datagram, _)) = self.udp(socket).recv() {
                arrived.push(datagram.to_vec());
            }
        }
        if arrived.len() == datagrams.len() {
            return Ok(arrived);
        }
        Err(NetError::Timeout {
            arrived: arrived.iter().map(Vec::len).sum(),
        })
    }

    /// Moves packets, or the clock when there are none to move.
    fn step(&mut self) {
        self.interface
            .poll(self.now, &mut self.device, &mut self.sockets);
        let delay = self.interface.poll_delay(self.now, &self.sockets);
        self.now += delay.unwrap_or(Duration::from_millis(1));
    }

    fn tcp_socket(&mut self) -> SocketHandle {
        let [receive, send] = [(); 2].map(|()| tcp::SocketBuffer::new(vec![0; BUFFER_BYTES]));
        self.sockets.add(tcp::Socket::new(receive, send))
    }

    fn udp_socket(&mut self) -> SocketHandle {
        let [receive, send] = [(); 2].map(|()| {
            udp::PacketBuffer::new(
                vec![udp::PacketMetadata::EMPTY; DATAGRAMS],
                vec![0; BUFFER_BYTES],
            )
        });
        self.sockets.add(udp::Socket::new(receive, send))
    }

    fn tcp(&mut self, handle: SocketHandle) -> &mut tcp::Socket<'static> {
        self.sockets.get_mut(handle)
    }

    fn udp(&mut self, handle: SocketHandle) -> &mut udp::Socket<'static> {
        self.sockets.get_mut(handle)
    }
}
