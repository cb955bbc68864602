//! What clients and nodes ask of a server, through a network that loses, repeats and delays.

use std::sync::Arc;
use std::time::Duration;

use gantry_cluster::{Cluster, Reply};
use gantry_kinds::{KindRef, Status};
use gantry_registry::{Body, DeleteOptions, Operation, Options, PatchKind, Request, Target, User};
use gantry_view::{Object, View};
use serde_json::Value;
use tokio::time::sleep;

use crate::check::acks;
use crate::plan::Fault;
use crate::world::World;

/// How long a client waits for an answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// Why there is no answer.
#[derive(Clone, Debug)]
pub enum Refusal {
    /// The server's word.
    Status(Box<Status>),
    /// No answer: it may have happened, or may still happen, or not.
    Lost,
}

impl Refusal {
    /// The status code; 0 when there was no answer.
    pub fn code(&self) -> u16 {
        match self {
            Refusal::Status(status) => status.code,
            Refusal::Lost => 0,
        }
    }

    /// Whether the request has certainly not been carried out and never will be.
    pub fn is_final(&self) -> bool {
        // 503 is said when nothing was changed, 507 when there was no room; 504 and 500 leave it open.
        matches!(self, Refusal::Status(status) if (400..500).contains(&status.code) || [503, 507].contains(&status.code))
    }
}

/// Somebody who asks servers for something.
#[derive(Clone)]
pub struct Client {
    /// The world it lives in.
    pub world: Arc<World>,
    /// Its name in the network.
    pub name: String,
    user: User,
}

impl Client {
    /// One who may do everything.
    pub fn admin(world: &Arc<World>, name: &str) -> Self {
        let groups = vec!["system:masters".to_owned(), "system:authenticated".to_owned()];
        let user = User { name: name.to_owned(), groups, ..User::default() };
        Client { world: world.clone(), name: name.to_owned(), user }
    }

    /// The agent of a node.
    pub fn node(world: &Arc<World>, node: &str) -> Self {
        let groups = vec!["system:nodes".to_owned(), "system:authenticated".to_owned()];
        let user = User { name: format!("system:node:{node}"), groups, ..User::default() };
        Client { world: world.clone(), name: node.to_owned(), user }
    }

    /// A server that is up, drawn.
    pub fn any_server(&self) -> usize {
        let up: Vec<usize> = (0..self.world.servers.len())
            .filter(|at| self.world.servers[*at].cluster().is_some() && !self.world.net.is_parted(&self.name, *at))
            .collect();
        self.world.rng.pick(&up).copied().unwrap_or(0)
    }

    /// Reads what a server shows, once it is sure to show everything acknowledged before.
    pub async fn read<R>(&self, server: usize, read: impl FnOnce(&View) -> R) -> Result<R, Refusal> {
        let cluster = self.reach(server).await?;
        let life = &self.world.servers[server].life;
        let born = life.get();
        tokio::select! {
            biased;
            () = life.wait(|now| *now != born) => return Err(Refusal::Lost),
            confirmed = cluster.confirmed() => confirmed.map_err(Refusal::Status)?,
        }
        let result = read(&cluster.view());
        self.answered(server).await?;
        Ok(result)
    }

    /// One object as it is now.
    pub async fn get(
        &self,
        server: usize,
        kind: KindRef,
        ns: &str,
        name: &str,
    ) -> Result<Option<Arc<Object>>, Refusal> {
        self.read(server, |view| view.get(kind, ns, name).cloned()).await
    }

    /// Asks for a write.
    pub async fn execute(&self, server: usize, request: Request) -> Result<Reply, Refusal> {
        let world = &self.world;
        let cluster = self.reach(server).await?;
        let life = &world.servers[server].life;
        let born = life.get();
        let answer = tokio::select! {
            biased;
            () = life.wait(|now| *now != born) => return Err(Refusal::Lost),
            answer = cluster.execute(request.clone()) => answer.map_err(Refusal::Status),
        };
        if let Ok(reply) = &answer {
            let lost = acks::acknowledged(world, &request, reply);
            lost.into_iter().for_each(|text| world.violated(text));
        }
        self.answered(server).await?;
        answer
    }

    /// Creates an object.
    pub async fn create(&self, server: usize, kind: KindRef, ns: &str, body: Value) -> Result<Reply, Refusal> {
        self.execute(server, self.request(kind, ns, "", "", Operation::Create(Body::from(body)))).await
    }

    /// Merge-patches an object or a subresource.
    pub async fn patch(&self, server: usize, at: (KindRef, &str, &str, &str), patch: Value) -> Result<Reply, Refusal> {
        let (kind, ns, name, sub) = at;
        let operation = Operation::Patch(PatchKind::Merge, Body::from(patch));
        self.execute(server, self.request(kind, ns, name, sub, operation)).await
    }

    /// Replaces an object.
    pub async fn update(
        &self,
        server: usize,
        kind: KindRef,
        ns: &str,
        name: &str,
        body: Value,
    ) -> Result<Reply, Refusal> {
        self.execute(server, self.request(kind, ns, name, "", Operation::Update(Body::from(body)))).await
    }

    /// Deletes an object.
    pub async fn delete(
        &self,
        server: usize,
        kind: KindRef,
        ns: &str,
        name: &str,
        options: DeleteOptions,
    ) -> Result<Reply, Refusal> {
        self.execute(server, self.request(kind, ns, name, "", Operation::Delete(options))).await
    }

    fn request(&self, kind: KindRef, ns: &str, name: &str, sub: &str, operation: Operation) -> Request {
        let target = Target { kind, namespace: ns.to_owned(), name: name.to_owned(), subresource: sub.to_owned() };
        let options = Options { field_manager: self.name.clone(), ..Options::default() };
        Request { user: self.user.clone(), target, operation, options }
    }

    /// The way to the server.
    async fn reach(&self, server: usize) -> Result<Arc<Cluster>, Refusal> {
        let world = &self.world;
        world.pause(0, 3).await;
        if world.net.is_parted(&self.name, server) || world.strikes(Fault::Loss, 0.03) {
            sleep(PATIENCE).await;
            return Err(Refusal::Lost);
        }
        world.net.awake(server).await;
        world.servers[server].cluster().ok_or(Refusal::Lost)
    }

    /// The way back.
    async fn answered(&self, server: usize) -> Result<(), Refusal> {
        let world = &self.world;
        world.net.awake(server).await;
        if world.net.is_parted(&self.name, server) || world.strikes(Fault::LostReply, 0.03) {
            sleep(PATIENCE).await;
            return Err(Refusal::Lost);
        }
        world.pause(0, 3).await;
        Ok(())
    }
}
