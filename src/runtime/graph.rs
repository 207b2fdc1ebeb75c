//! The job graph: operators and edges as the program declares them, and their division into tasks.
//!
//! Streams are typed in the program and untyped here: each node keeps functions that were made where its types were
//! known, and what they build is passed between them as [`Erased`].

use super::backend::StateWriter;
use super::control::Cancellation;
use super::exchange::{CHANNEL, Message, NetworkOutput, Partitioner, Receivers, Routing};
use super::record::{Data, FanOut, Nowhere, Output};
use super::restore::RestoredOperator;
use super::task::{InputTask, TaskBody};
use crate::model::OperatorId;
use crossbeam_channel::{Receiver, Sender};
use std::any::Any;
use std::marker::PhantomData;
use std::sync::Arc;

/// Something whose type only the two functions that share it know.
pub(crate) type Erased = Box<dyn Any + Send>;

/// Gets back what was erased. The graph joins only streams of the same type, so that it always is of that type.
pub(crate) fn recover<T: 'static>(erased: Erased) -> T {
    match erased.downcast::<T>() {
        Ok(value) => *value,
        Err(_) => unreachable!("an edge joins streams of two types"),
    }
}

/// A node of the graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct NodeId(pub usize);

/// What an operator knows of itself and its place.
#[derive(Clone)]
pub(crate) struct OperatorContext {
    /// The id that state is matched by.
    pub operator: OperatorId,
    /// The name of the operator.
    pub name: Arc<str>,
    /// Index of the subtask, from 0.
    pub subtask: usize,
    /// Number of subtasks.
    pub parallelism: usize,
    /// Number of key groups.
    pub max_parallelism: i32,
    /// What this operator has in the snapshot that the attempt starts from.
    pub restored: Option<Arc<RestoredOperator>>,
    /// Writes the state files of the task.
    pub writer: StateWriter,
    /// The attempt's number, from 0, and an id that no other attempt of any run has.
    pub attempt: Arc<str>,
    /// Whether the attempt is being given up.
    pub canceled: Cancellation,
}

/// How an edge spreads records over the subtasks behind it.
pub(crate) enum Partitioning {
    /// To the subtask of the same index; the operators may share a task.
    Forward,
    /// To all subtasks in turn.
    Rebalance,
    /// To every subtask.
    Broadcast,
    /// By key: makes the [`Partitioner`] for a number of key groups and subtasks.
    Hash(Box<dyn Fn(i32, usize) -> Erased + Send>),
}

/// An edge: where records come from, and how.
pub(crate) struct Edge {
    pub from: NodeId,
    pub partitioning: Partitioning,
}

/// Makes what runs for a node.
pub(crate) enum Maker {
    /// From context and output (`Box<dyn Output<U>>`), the whole task.
    Source(Box<dyn Fn(OperatorContext, Erased) -> Box<dyn TaskBody> + Send>),
    /// From context and output, a `Box<dyn Output<T>>`.
    Operator(Box<dyn Fn(OperatorContext, Erased) -> Erased + Send>),
    /// Nothing: a union of the streams at its inputs.
    Union,
}

/// An operator of the job.
pub(crate) struct Node {
    pub name: String,
    pub uid: Option<String>,
    pub parallelism: Option<usize>,
    pub max_parallelism: Option<i32>,
    pub chaining: Chaining,
    pub inputs: Vec<Edge>,
    pub maker: Maker,
    /// What is known of the type of its output.
    pub output: Arc<dyn StreamType>,
    /// Whether the order or place of records is part of its meaning, so that it runs with one subtask only.
    pub single: bool,
    /// Whether it holds output back until a checkpoint is complete.
    pub commits: bool,
}

/// Whether an operator shares the task of the one in front.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Chaining {
    /// With both neighbours, where the edges allow it.
    Always,
    /// Only with those behind.
    Head,
    /// With none.
    Never,
}

/// All operators of a job.
#[derive(Default)]
pub(crate) struct Graph {
    pub nodes: Vec<Node>,
}

/// What can be made for streams of one type.
pub(crate) trait StreamType: Send + Sync {
    /// The two ends of a channel: `Sender<Message<T>>`, `Receiver<Message<T>>`.
    fn channel(&self) -> (Erased, Erased);
    /// A `Box<dyn Output<T>>` that sends to other tasks.
    fn network(&self, senders: Vec<Erased>, routing: ErasedRouting) -> Erased;
    /// A `Box<dyn Output<T>>` to several, one or none.
    fn fan_out(&self, outputs: Vec<Erased>) -> Erased;
    /// A task that reads `Receiver`s and passes records to a `Box<dyn Output<T>>`.
    fn input_task(&self, receivers: Vec<Erased>, output: Erased) -> Box<dyn TaskBody>;
}

/// A [`Routing`] whose type is not known.
pub(crate) enum ErasedRouting {
    /// Always to the same of the senders.
    Fixed,
    /// In turn, beginning with this one.
    InTurn(usize),
    /// To all.
    All,
    /// By a `Partitioner<T>`.
    By(Erased),
}

/// The [`StreamType`] of records of type `T`.
pub(crate) struct Of<T>(pub PhantomData<fn() -> T>);

impl<T: Data> StreamType for Of<T> {
    fn channel(&self) -> (Erased, Erased) {
        let (sender, receiver) = crossbeam_channel::bounded::<Message<T>>(CHANNEL);
        (Box::new(sender), Box::new(receiver))
    }

    fn network(&self, senders: Vec<Erased>, routing: ErasedRouting) -> Erased {
        let senders: Vec<Sender<Message<T>>> = senders.into_iter().map(recover).collect();
        let routing = match routing {
            ErasedRouting::Fixed => Routing::InTurn(0),
            ErasedRouting::InTurn(first) => Routing::InTurn(first % senders.len()),
            ErasedRouting::All => Routing::All,
            ErasedRouting::By(partitioner) => Routing::ByKey(recover::<Partitioner<T>>(partitioner)),
        };
        let output: Box<dyn Output<T>> = Box::new(NetworkOutput::new(senders, routing));
        Box::new(output)
    }

    fn fan_out(&self, outputs: Vec<Erased>) -> Erased {
        let mut outputs: Vec<Box<dyn Output<T>>> = outputs.into_iter().map(recover).collect();
        let output: Box<dyn Output<T>> = match outputs.len() {
            0 => Box::new(Nowhere),
            1 => outputs.remove(0),
            _ => Box::new(FanOut(outputs)),
        };
        Box::new(output)
    }

    fn input_task(&self, receivers: Vec<Erased>, output: Erased) -> Box<dyn TaskBody> {
        let inputs: Receivers<T> = receivers.into_iter().map(recover::<Receiver<Message<T>>>).collect();
        Box::new(InputTask { inputs, output: recover::<Box<dyn Output<T>>>(output) })
    }
}

impl Graph {
    /// Adds a node.
    pub fn add(&mut self, node: Node) -> NodeId {
        self.nodes.push(node);
        NodeId(self.nodes.len() - 1)
    }

    /// The edges that leave a node, through unions: consumer, and the partitioning of the edge.
    pub fn consumers(&self, from: NodeId) -> Vec<(NodeId, &Partitioning)> {
        let mut found = Vec::new();
        for (index, node) in self.nodes.iter().enumerate() {
            for edge in node.inputs.iter().filter(|edge| edge.from == from) {
                match node.maker {
                    Maker::Union => {
                        found.extend(self.consumers(NodeId(index)).into_iter().map(|(consumer, behind)| {
                            let forward = matches!(behind, Partitioning::Forward);
                            (consumer, if forward { &edge.partitioning } else { behind })
                        }))
                    }
                    _ => found.push((NodeId(index), &edge.partitioning)),
                }
            }
        }
        found
    }

    /// The nodes that a node reads from, unions resolved.
    pub fn producers(&self, of: NodeId) -> Vec<NodeId> {
        let mut found = Vec::new();
        for edge in &self.nodes[of.0].inputs {
            match self.nodes[edge.from.0].maker {
                Maker::Union => found.extend(self.producers(edge.from)),
                _ => found.push(edge.from),
            }
        }
        found
    }
}
