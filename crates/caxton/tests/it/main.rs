//! The program as people and scripts meet it: arguments in, text and numbers out.

mod command;
mod config;
mod crash;
mod node;
mod offline;
mod online;
mod process;
